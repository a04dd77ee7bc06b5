"""The configuration: dataclasses that mirror conf/, and how YAML and overrides become them."""
