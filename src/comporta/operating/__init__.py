"""Rules of operating a gateway, for the command line and the admin API. No screen, no HTTP."""
