"""The warning desk: assessments and people's acts in, each audience's warnings out."""
