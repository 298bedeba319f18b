//! Asking a controller, over real sockets on loopback.
