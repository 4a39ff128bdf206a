"""What a label looks like: its canonical form, its words, its XML. Below the stages, because several of them show labels."""
