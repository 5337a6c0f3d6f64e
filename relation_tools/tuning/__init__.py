"""Learning a relation from the command line. Needs the optional extra ``training``."""
