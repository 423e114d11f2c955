"""The page that shows running systems in a browser, and the small server behind it.

Here: what of a system is shown and how it is kept up to date, who is let in, the page itself.
Not here: reading a system from outside (outside), the command (cli).
"""
