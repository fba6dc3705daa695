//! Rules of the maps that need no kernel to compare with.
