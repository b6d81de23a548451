// Follows the Tab key through the page and once around: Chromium (147) does not begin at the top, but with the
// chapter that the table of contents has scrolled to. `step` is called after each press: "fold" is one whose opening is
// to be tried, "end" is where everything has been reached.
window.keyboard = (() => {
    const CONTROLS = "a[href], button, input, select, textarea, summary, [role=button], [tabindex]";
    const reached = new Set();
    const faults = [];
    let fold;
    let last;
    const fault = (element, what) =>
        faults.push(`${element.localName} "${(element.id || element.textContent).trim().slice(0, 40)}" ${what}`);
    return {
        step: () => {
            const element = document.activeElement;
            // Between the page's end and its top nothing has the focus; twice in a row: nothing ever has.
            const isEnd = element === document.body ? last === element : reached.has(element);
            last = element;
            if (isEnd) return "end";
            if (element === document.body) return "";
            reached.add(element);
            const { outlineStyle, boxShadow } = getComputedStyle(element);
            if (outlineStyle === "none" && boxShadow === "none") fault(element, "does not show that it has the focus");
            fold = element.localName === "summary" && element.parentElement;
            return fold && !fold.open ? "fold" : "";
        },
        opened: () => {
            if (!fold.open || fold.scrollHeight <= fold.firstElementChild.scrollHeight) fault(fold, "does not open by its key");
        },
        end: () => {
            for (const element of document.querySelectorAll(CONTROLS)) {
                const isButton = element.matches("button, summary, [role=button]");
                if (!element.checkVisibility({ visibilityProperty: true }) || reached.has(element)) continue;
                if (element.disabled) continue;
                if (isButton || element.tabIndex >= 0) fault(element, "cannot be reached with the Tab key");
            }
            for (const label of document.querySelectorAll("label")) {
                if (label.checkVisibility() && !reached.has(label.control)) fault(label, "cannot be reached with the Tab key");
            }
            return faults;
        },
    };
})();
