//! What is checked of a page, of the book's menu and of its search. Each returns what is wrong, a line each.

use anyhow::Result;
use serde_json::json;

use crate::tab::Tab;

/// The themes that nobody gets who does not ask for them: they are looked at in one chapter.
const OTHER_THEMES: [&str; 3] = ["rust", "coal", "ayu"];

const LOOK: &str = include_str!("look.js");
const KEYBOARD: &str = include_str!("keyboard.js");

/// Looks at the page as it is now: contrast, what sticks out, names, alternatives.
pub fn look(tab: &mut Tab, width: u32, printed: bool) -> Result<Vec<String>> {
    let options = json!({"width": width, "printed": printed});
    let mut faults = tab.lines(&format!("({LOOK})({options})"))?;
    faults.extend(tab.take_faults());
    Ok(faults)
}

/// Goes through the page with the Tab key, and opens every fold with Enter.
pub fn keyboard(tab: &mut Tab) -> Result<Vec<String>> {
    tab.value(KEYBOARD)?;
    loop {
        tab.press("Tab")?;
        match tab.value("keyboard.step()")?.as_str() {
            Some("end") => break,
            Some("fold") => {
                tab.press("Enter")?;
                tab.value("keyboard.opened()")?;
            }
            _ => {}
        }
    }
    let mut faults = tab.lines("keyboard.end()")?;
    faults.extend(tab.take_faults());
    Ok(faults)
}

/// Plays the page's recording with real keys, if it has one: it plays, pauses, and ends as the whole text.
pub fn recording(tab: &mut Tab) -> Result<Vec<String>> {
    let figure = "document.querySelector('figure.recording')";
    if tab.value(&format!("!{figure}"))? == true {
        return Ok(Vec::new());
    }
    let text = tab.value(&format!("{figure}.querySelector('code').innerHTML"))?;
    let mut faults = Vec::new();
    tab.tab_to(".recording-controls button")?;
    // "Play", "Pause", and the button after the next: "Show all".
    for (keys, state, is_whole) in [
        (&["Enter"][..], "playing", false),
        (&["Enter"], "paused", false),
        (&["Tab", "Tab", "Enter"], "whole", true),
    ] {
        keys.iter().try_for_each(|key| tab.press(key))?;
        let shown = format!("{figure}.querySelector('code').innerHTML === {text}");
        let state_is = format!("{figure}.dataset.state === '{state}'");
        if !tab.becomes(&format!("{state_is} && ({shown}) === {is_whole}"))? {
            faults.push(format!("the recording does not come to be {state} with keys"));
        }
    }
    faults.extend(tab.take_faults());
    Ok(faults)
}

/// The buttons above each chapter, with real keys: the theme is chosen, the table of contents hidden and shown. An arrow
/// key turns the page, but not in a block of code, which it scrolls.
pub fn menu(tab: &mut Tab, width: u32) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_string());
        }
    };
    let root = "document.documentElement.classList";
    for theme in OTHER_THEMES {
        tab.tab_to("#mdbook-theme-toggle")?;
        tab.press("Enter")?;
        tab.press("Home")?;
        tab.tab_to(&format!("#mdbook-theme-{theme}"))?;
        tab.press("Enter")?;
        let is_chosen = tab.becomes(&format!("{root}.contains('{theme}')"))?;
        expect(is_chosen, "the theme cannot be chosen with keys");
        let faults = look(tab, width, false)?;
        for fault in &faults {
            expect(false, &format!("{theme}: {fault}"));
        }
        tab.press("Escape")?;
    }

    let sidebar = "document.querySelector('#mdbook-sidebar').checkVisibility()";
    for shown in [width < 1080, width >= 1080] {
        tab.tab_to("#mdbook-sidebar-toggle-anchor")?;
        tab.press(" ")?;
        let is_so = tab.becomes(&format!("{sidebar} === {shown}"))?;
        expect(is_so, "the table of contents cannot be hidden or shown with a key");
    }
    tab.value("document.activeElement.blur()")?;
    tab.press("?")?;
    expect(
        tab.becomes("document.querySelector('#mdbook-help-popup').checkVisibility()")?,
        "? shows no help",
    );
    for fault in &look(tab, width, false)? {
        expect(false, fault);
    }
    tab.press("Escape")?;

    let address = tab.value("location.href")?;
    tab.value("document.querySelector('.listing pre > code').innerText += ' '.repeat(400)")?;
    tab.tab_to(".listing pre > code")?;
    tab.press("ArrowRight")?;
    expect(
        tab.becomes("document.activeElement.scrollLeft > 0")?,
        "an arrow key does not scroll the code",
    );
    expect(
        tab.value("location.href")? == address,
        "an arrow key turns the page instead of scrolling the code",
    );
    tab.value("document.activeElement.blur()")?;
    tab.press("ArrowRight")?;
    expect(
        tab.becomes(&format!("location.href !== {address}"))?,
        "an arrow key does not turn the page",
    );
    Ok(faults)
}

/// Types a word, and expects a chapter among the results.
pub fn search(tab: &mut Tab, word: &str, chapter: &str) -> Result<Vec<String>> {
    tab.press("/")?;
    if !tab.becomes("document.activeElement.id === 'mdbook-searchbar'")? {
        return Ok(vec!["the key / does not lead to the search".to_string()]);
    }
    for letter in word.chars() {
        tab.press(&letter.to_string())?;
    }
    let found = format!("document.querySelector('#mdbook-searchresults a[href*=\"{chapter}\"]')");
    if !tab.becomes(&found)? {
        return Ok(vec![format!("the search for {word} does not find {chapter}")]);
    }
    Ok(tab.take_faults())
}
