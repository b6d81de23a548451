//! Stage NUMBER: IDEA.

promises! { stage NUMBER:
}
