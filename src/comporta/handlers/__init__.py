"""Python functions as destinations: registered, called, watched. It knows no store and no HTTP."""
