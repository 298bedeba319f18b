//! Our own CA in a folder, for one machine.
