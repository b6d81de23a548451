// Plays the transcripts that were recorded: each line appears when it came in the virtual machine, and what was typed is
// typed again. The text is the page's own, and there in full before, after and without this script.
//
// For tests: a figure's data-state is "whole", "playing" or "paused".
(() => {
    "use strict";

    const KEY = 40; // a key stroke, in milliseconds
    const LONGEST_COMMAND = 2000;
    const LONGEST_PAUSE = 1500;
    const READING = 400; // before the next command is typed

    const still = matchMedia("(prefers-reduced-motion: reduce)");

    // What the figure shows one after the other: so much of the text, after such a delay.
    function framesOf(text, times) {
        const frames = [];
        let [shown, before, prompt] = [0, 0, true];
        text.split("\n").forEach((line, number) => {
            const end = Math.min(shown + line.length + 1, text.length);
            const pause = Math.min((times[number] - before) * 1000, LONGEST_PAUSE);
            if (/^[$>] /.test(line) && (prompt || line.startsWith("$"))) {
                const key = Math.min(KEY, LONGEST_COMMAND / line.length);
                frames.push({ delay: pause + (number ? READING : 0), length: shown + 2, stop: line.startsWith("$") });
                for (let length = shown + 3; length < end; length++) {
                    frames.push({ delay: key, length });
                }
                frames.push({ delay: key, length: end });
                prompt = true;
            } else {
                frames.push({ delay: pause, length: end });
                prompt = false;
            }
            [shown, before] = [end, times[number]];
        });
        return frames;
    }

    function setUp(figure) {
        const code = figure.querySelector("code");
        const block = figure.querySelector("pre");
        const whole = code.innerHTML;
        const text = code.textContent.replace(/\n$/, "");
        const frames = framesOf(text, figure.dataset.times.split(" ").map(Number));
        let next = 0; // the frame that is shown next
        let timer;

        const controls = document.createElement("div");
        controls.className = "recording-controls";
        controls.setAttribute("role", "group");
        controls.setAttribute("aria-label", "Recording of this transcript");
        const button = (label, action) => {
            const made = document.createElement("button");
            made.type = "button";
            made.textContent = label;
            made.addEventListener("click", action);
            controls.append(made);
            return made;
        };
        const play = button("Play", () => {
            if (still.matches) step();
            else if (figure.dataset.state === "playing") pause();
            else run();
        });
        const again = button("Start again", () => {
            clearTimeout(timer);
            next = 0;
            if (still.matches) step();
            else run();
        });
        const all = button("Show all", showAll);

        function enter(state) {
            figure.dataset.state = state;
            const idle = still.matches ? "Next command" : state === "paused" ? "Continue" : "Play";
            play.textContent = state === "playing" ? "Pause" : idle;
            again.disabled = all.disabled = state === "whole";
        }

        function showAll() {
            clearTimeout(timer);
            const focused = document.activeElement;
            next = 0;
            code.innerHTML = whole;
            block.style.minHeight = "";
            enter("whole");
            // A button that is now disabled would lose the keyboard's focus.
            if (focused === again || focused === all) play.focus();
        }

        // Shows the next frame; false after the last.
        function advance() {
            if (!next) block.style.minHeight = block.offsetHeight + "px"; // so that the page stays where it is
            code.textContent = text.slice(0, frames[next++].length);
            if (next < frames.length) return true;
            showAll();
            return false;
        }

        function run() {
            if (!next) advance();
            enter("playing");
            timer = setTimeout(() => { if (advance()) run(); }, frames[next].delay);
        }

        function pause() {
            clearTimeout(timer);
            enter("paused");
        }

        // Without motion: one more command, with all that it printed.
        function step() {
            enter("paused");
            do if (!advance()) return; while (!frames[next].stop);
        }

        block.setAttribute("aria-live", "off");
        figure.append(controls);
        still.addEventListener("change", showAll);
        enter("whole");
    }

    document.querySelectorAll("figure.recording").forEach(setUp);
})();
