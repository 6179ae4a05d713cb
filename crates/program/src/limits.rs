//! Sizes a program may have. Over one is `LW0107`.

/// Bytes of one program or library.
pub const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Errors shown for one program: what follows the first few is mostly their echo.
pub(crate) const DIAGNOSTICS_MAX: usize = 20;
