"""From runs to conclusions: what several runs say together, as tables and pages."""
