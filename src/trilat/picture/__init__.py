"""The common operational picture: what one nation's watch officers see, and how it reaches their pages."""
