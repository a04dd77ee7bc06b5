"""Import of SLM-Lab specs: `read` files, know their `eras`, map them, and write configurations that compose."""
