"""Who quantizes: other tools' quantizers behind one small adapter each, to be held beside ours."""
