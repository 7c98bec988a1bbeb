// What carries the precompiled headers needs a source file.
