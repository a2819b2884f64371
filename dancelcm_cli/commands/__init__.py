"""One thin module per subcommand: parse, load the recipe, call one stage, print its result."""
