//! Stage 12: files that stay.

promises! { stage 12:
}
