//! Stage 10: less power.

promises! { stage 10:
}
