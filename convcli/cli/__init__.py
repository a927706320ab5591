"""The command line: each file parses, calls one public function and renders."""
