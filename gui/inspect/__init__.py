"""The place where one finished stage is looked into: layers, differences, distributions, mistakes."""
