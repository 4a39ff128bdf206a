"""The warning desk: assessments and people's acts in, each audience's warnings out. Composes warn, products, policy and accounts."""
