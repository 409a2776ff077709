"""The logins that people were told cannot be done: strict servers, written by hand, and the files that log in there."""
