"""Official and foreign files become tables: read as plain data, checked whole, written with their origin and roles."""
