"""The public calls: one for each verb of the command line, with the same names for the same things.

`convcli.NAME` loads them on first use. What is asked for here is carried out in the rooms below.
"""
