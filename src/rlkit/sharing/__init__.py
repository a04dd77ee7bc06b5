"""Runs on the Hugging Face Hub: what is published of one, what is accepted from others, and the way there and back."""
