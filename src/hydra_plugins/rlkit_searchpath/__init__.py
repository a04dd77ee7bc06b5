"""Puts `./conf` of the working directory on Hydra's search path, so that groups of one's own are found."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class WorkingDirectory(SearchPathPlugin):  # type: ignore[misc, unused-ignore]
    """What `rlkit convert`, `adopt` and the user write into `./conf` can be chosen like rlkit's own groups."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder where it exists and is not the primary one already.

        It comes first, so that a file of the user's goes before rlkit's of the same name; last where it has a
        `config.yaml`, which belongs to another program.
        """
        folder = Path.cwd() / "conf"
        known = {entry.path for entry in search_path.get_path()}
        if folder.is_dir() and f"file://{folder}" not in known:
            add = search_path.append if (folder / "config.yaml").exists() else search_path.prepend
            add("rlkit", f"file://{folder}")
