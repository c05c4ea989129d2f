//! Signature formats, one file per specification. Pure: bytes in, bytes out.
