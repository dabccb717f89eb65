"""Progress from libraries that show it already."""
