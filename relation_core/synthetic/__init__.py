"""Small drawn scenes, and relations between pictures of them, to train and measure small models with."""
