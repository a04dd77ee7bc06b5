import survey


def test_a_refusal_names_files_of_packages_the_same_on_every_machine():
    said = "Fetch-v4 could not be made\n  raised in /home/me/.venv/lib/python3.11/site-packages/robots/fetch.py, line 3"
    assert survey.placed(said) == "Fetch-v4 could not be made\n  raised in robots/fetch.py, line 3"


def test_a_cell_holds_the_whole_reason_where_it_is_short():
    assert survey.told({"outcome": "trained", "score": 1.0, "seconds": 2.0}) == "trains"
    assert survey.told({"outcome": "refused", "words": "no | part\n  leave it"}) == "refused: no / part leave it"
    long = survey.told({"outcome": "fault", "words": "x" * (survey.LONGEST_CELL + 1)})
    assert long == f"fault: {'x' * survey.LONGEST_CELL}..."


def test_the_table_counts_what_trained_what_was_refused_and_what_broke():
    rows = [
        {"package": "a", "id": f"{how}-v0", "options": [], "ppo": {"outcome": how, "words": how}}
        for how in ("trained", "refused", "fault", "refused")
    ]
    assert "4 environments of 1 packages" in survey.table(rows)
    assert "1 train, 2 are refused in words, 1 end in a fault" in survey.table(rows)
