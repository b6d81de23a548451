//! A chapter's transcripts, as they stand in its Markdown.

use shared::Error;

use super::names::Varying;

/// A code block of the kind `console`.
#[derive(Debug, Default)]
pub struct Fence {
    /// The line of its first command, counted from 1.
    pub line: usize,
    /// Typed by ada, and not by root.
    pub ada: bool,
    /// What the commands write goes into a pipe.
    pub pipe: bool,
    /// The registry with the sample images is there.
    pub registry: bool,
    /// The commands are for the checkout, not for the VM.
    pub host: bool,
    /// What a command for the checkout must print, where the chapter does not show what it does.
    pub shows: Option<String>,
    /// The lines of a command may come in another order.
    pub unordered: bool,
    /// The page can play it.
    pub play: bool,
    /// What differs from run to run.
    pub varies: Vec<Varying>,
    pub commands: Vec<Command>,
}

/// What is typed, and what is printed then.
#[derive(Debug)]
pub struct Command {
    /// Its line, counted from 1.
    pub line: usize,
    /// More than one line if there is a here-document.
    pub typed: Vec<String>,
    pub printed: Vec<String>,
}

impl Command {
    /// The line of what it prints first.
    pub fn printed_at(&self) -> usize {
        self.line + self.typed.len()
    }
}

pub const OPEN: &str = "```console";
const CLOSE: &str = "```";

/// The fences of a chapter. An error begins with the number of its line.
pub fn fences(chapter: &str) -> Result<Vec<Fence>, Error> {
    let mut fences = Vec::new();
    let mut lines = chapter.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(words) = line.strip_prefix(OPEN) else { continue };
        let mut fence = Fence { line: number + 2, ..Fence::default() };
        let at = |number: usize, text: &str| Error::new(format!("{}: {text}", number + 1));
        for word in words.split_whitespace() {
            fence.take(word).map_err(|text| at(number, &text))?;
        }
        for (number, line) in lines.by_ref().take_while(|(_, line)| *line != CLOSE) {
            fence.add(number + 1, line).map_err(|text| at(number, text))?;
        }
        fence.check().map_err(|text| at(number, &text))?;
        fences.push(fence);
    }
    Ok(fences)
}

impl Fence {
    /// A word behind `console`.
    fn take(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=') {
            None if word == "ada" => self.ada = true,
            None if word == "pipe" => self.pipe = true,
            None if word == "registry" => self.registry = true,
            None if word == "host" => self.host = true,
            None if word == "play" => self.play = true,
            None if word == "unordered" => self.unordered = true,
            Some(("shows", text)) => self.shows = Some(text.into()),
            Some(("varies", words)) => self.varies = words.split(',').map(Varying::from).collect(),
            _ => return Err(format!("a transcript has no such word as {word:?}")),
        }
        Ok(())
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), &'static str> {
        if let Some(typed) = text.strip_prefix("$ ") {
            self.commands.push(Command { line, typed: vec![typed.into()], printed: Vec::new() });
            return Ok(());
        }
        let command =
            self.commands.last_mut().ok_or("a transcript begins with a command, `$ …`")?;
        match text.strip_prefix("> ") {
            Some(more) if command.printed.is_empty() => command.typed.push(more.into()),
            _ => command.printed.push(text.into()),
        }
        Ok(())
    }

    /// Whether its words fit each other and what it shows.
    fn check(&self) -> Result<(), String> {
        let shown: Vec<&str> = self.printed().collect();
        if self.commands.is_empty() {
            return Err("a transcript without a command".into());
        }
        if self.host && (self.ada || self.pipe || self.registry || self.play || !shown.is_empty()) {
            return Err("what runs on the `host` is run without more, and shows nothing".into());
        }
        if self.shows.is_some() && !self.host {
            return Err("`shows` is for the `host`: in the VM what is printed stands here".into());
        }
        if let Some(digest) = shown
            .iter()
            .flat_map(|line| digests(line))
            .find(|digest| !self.varies.iter().any(|varying| digest.starts_with(&varying.word)))
        {
            let start = &digest[..12];
            return Err(format!("a package's next version changes {start}…: name it in `varies`"));
        }
        if let Some(time) = shown.iter().find_map(|line| time_of_today(line)) {
            return Err(format!(
                "`ls` writes {time:?} otherwise on another day: let `stat -c` show the rest"
            ));
        }
        match self.varies.iter().find(|varying| !shown.iter().any(|line| varying.is_in(line))) {
            Some(varying) => Err(format!("it does not show {:?}, which varies", varying.word)),
            None => Ok(()),
        }
    }

    /// All that its commands print.
    pub fn printed(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().flat_map(|command| &command.printed).map(String::as_str)
    }
}

/// A file's time as `ls -l` shows a new one. It is written in columns, so no word of it may vary: a month later, or on the
/// first of one, the spaces are others.
fn time_of_today(line: &str) -> Option<String> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time = |three: &&[&str]| {
        MONTHS.split(' ').any(|month| month == three[0])
            && three[1].parse::<u8>().is_ok()
            && three[2].contains(':')
    };
    words.windows(3).find(is_time).map(|three| three.join(" "))
}

/// The digests in a line, whole or as `images` shows them. A set of capabilities is no digest: it begins with zeros.
fn digests(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| {
        let is_hex = word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        let has_both =
            word.contains(|c: char| c.is_ascii_digit()) && word.contains(char::is_alphabetic);
        is_hex && has_both && [12, 64].contains(&word.len()) && !word.starts_with("0000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Result<Fence, String> {
        let mut fences = fences(text).map_err(|error| error.to_string())?;
        assert_eq!(fences.len(), 1);
        Ok(fences.remove(0))
    }

    #[test]
    fn commands_and_what_they_print() {
        let fence =
            only("a\n\n```console ada pipe\n$ one\n1\n$ cat <<E\n> 2\n> E\n2\n```\nb\n").unwrap();
        assert!(fence.ada && fence.pipe && !fence.host);
        let [one, cat] = &fence.commands[..] else { panic!("{fence:?}") };
        assert_eq!(
            (one.line, &one.typed[..], &one.printed[..]),
            (4, &["one".into()][..], &["1".into()][..])
        );
        assert_eq!((cat.printed_at(), cat.typed.len(), cat.printed.len()), (9, 3, 1));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, expected) in [
            ("\n```console eve\n$ a\n```\n", "2: a transcript has no such word as \"eve\""),
            ("```console\na\n```\n", "2: a transcript begins with a command, `$ …`"),
            ("```console varies=7\n$ a\n17\n```\n", "1: it does not show \"7\", which varies"),
            (
                "```console\n$ a\nbox 198a742ff6d2 2MB\n```\n",
                "1: a package's next version changes 198a742ff6d2…: name it in `varies`",
            ),
            (
                "```console varies=Nov,30,08:46\n$ a\n-rw-r----- 1 0 0 474 Nov 30 08:46 a\n```\n",
                "1: `ls` writes \"Nov 30 08:46\" otherwise on another day: let `stat -c` show the rest",
            ),
            (
                "```console shows=b\n$ a\n```\n",
                "1: `shows` is for the `host`: in the VM what is printed stands here",
            ),
        ] {
            assert_eq!(only(text).unwrap_err(), expected);
        }
    }
}
