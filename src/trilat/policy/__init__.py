"""Policy: what each partner may see, and why. Labels, agreements, decisions and release (DESIGN section 4)."""
