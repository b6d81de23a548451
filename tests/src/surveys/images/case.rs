//! One image, and what must become of it: written down before the engine has seen it.

use std::io;
use std::path::Path;

use crate::checks::images::{Archive, Image, Shelf};

/// MiB that a process of the engine may have.
const MEMORY: u64 = 64;

/// What must become of an image.
#[derive(Clone, Copy)]
pub enum Fate {
    /// The root filesystem is, entry by entry, what `umoci unpack` makes of the image.
    LikeUmoci,
    /// It is there, and this holds for it. umoci does something else, or nothing.
    Applied(fn(&Path) -> io::Result<bool>),
    /// Status 125, and one line with these words.
    Refused(&'static str),
    /// Its command is not found, or cannot be executed: this status, and one line with these words.
    Fails(u8, &'static str),
    /// Its command runs, and prints this.
    Prints(&'static str),
}

/// How an image gets into a registry.
pub enum Offer {
    /// It is one.
    Image(Box<Image>),
    /// It is what a registry is made to have.
    Shelf(Box<dyn Fn(&Shelf)>),
}

/// An image and its fate.
pub struct Case {
    /// What it is, for the book.
    pub what: &'static str,
    pub offer: Box<dyn Fn() -> Offer>,
    pub fate: Fate,
    /// What becomes of it where an ordinary user pulls it, if that is something else.
    pub for_ada: Option<Fate>,
    /// The arguments after the image where step 8 runs it; None: step 7 pulls it.
    pub runs: Option<&'static [&'static str]>,
    /// MiB that a process of the engine may have for it.
    pub memory: u64,
    /// It takes long, so no sample has it.
    pub is_large: bool,
}

impl Case {
    /// An image of these layers, not compressed.
    pub fn layers<const N: usize>(
        what: &'static str,
        fate: Fate,
        layers: impl Fn() -> [Archive; N] + 'static,
    ) -> Case {
        Case::image(what, fate, move || Image::of(&layers().map(Archive::end)))
    }

    /// An image of one layer as it is: a whole one that is not compressed.
    pub fn bytes(what: &'static str, fate: Fate, bytes: impl Fn() -> Vec<u8> + 'static) -> Case {
        Case::image(what, fate, move || Image::of(&[bytes()]))
    }

    /// Any image.
    pub fn image(what: &'static str, fate: Fate, make: impl Fn() -> Image + 'static) -> Case {
        Case {
            what,
            offer: Box::new(move || Offer::Image(Box::new(make()))),
            fate,
            for_ada: None,
            runs: None,
            memory: MEMORY,
            is_large: false,
        }
    }

    /// What a registry is made to have.
    pub fn shelf(what: &'static str, fate: Fate, fill: fn(&Shelf)) -> Case {
        let offer = Box::new(move || Offer::Shelf(Box::new(fill)));
        Case { offer, ..Case::image(what, fate, || Image::of(&[])) }
    }

    /// With another fate where an ordinary user pulls it.
    pub fn for_ada(self, fate: Fate) -> Case {
        Case { for_ada: Some(fate), ..self }
    }

    /// The verdict as the book shows it.
    pub fn verdict(&self) -> String {
        let own = shown(self.fate);
        match self.for_ada {
            Some(other) => format!("{own}; ada: {}", shown(other)),
            None => own,
        }
    }
}

fn shown(fate: Fate) -> String {
    match fate {
        Fate::LikeUmoci => "applied, as umoci does it".into(),
        Fate::Applied(_) => "applied".into(),
        Fate::Refused(words) => format!("refused: {words}"),
        Fate::Fails(status, words) => format!("status {status}: {words}"),
        Fate::Prints(_) => "runs".into(),
    }
}
