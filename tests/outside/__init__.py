"""Running systems as other processes of their user see them."""
