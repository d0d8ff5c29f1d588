"use strict";
// The browsers of pairs and of held-out items, and the buttons that copy commands.
//
// A browser asks a source, `facets()` and `find(query) -> Promise<{total, cases}>`: in a file the cases that stand in it,
// behind `mixpref view` its server. What a model or a data set says becomes text (textContent), never markup.
(() => {
  const PAGE = 20;
  const FACETS = { pairs: ["kind", "family", "outcome"], items: ["kind", "style", "benchmark", "family", "outcome"] };
  const FILTERS = [...FACETS.items, "gap_min", "gap_max", "text"];
  const LABELS = { kind: "Kind", style: "Asked for", benchmark: "Benchmark", family: "Family", outcome: "Outcome" };
  const OUTCOME_OF = { pairs: "Rejected one is", items: "Answer after" };
  const NOUNS = { pairs: ["pair", "pairs"], items: ["item", "items"] };
  const SPOKEN = { direct: "direct answer", cot: "chain of thought" };

  // --- Sources ------------------------------------------------------------------------------------------------------

  function embedded(data) {
    const texts = new Map();
    const textOf = (one) => {
      if (!texts.has(one)) {
        const said = one.sides.map((side) => side.parts.map((part) => part[1]).join(""));
        const choices = one.choices.map((choice) => choice[1]);
        texts.set(one, [one.question, one.answer, ...choices, ...one.caption, ...said].join("\n").toLowerCase());
      }
      return texts.get(one);
    };
    const within = (gap, least, most) =>
      (least === "" && most === "") ||
      (gap !== null && (least === "" || gap >= Number(least)) && (most === "" || gap <= Number(most)));
    const picture = (key) => (key === null ? null : data.pictures[key]);
    return {
      whole: false,
      async facets() {
        const found = {};
        for (const [list, names] of Object.entries(FACETS)) {
          found[list] = { total: data[list].length };
          for (const name of names) {
            const counts = (found[list][name] = {});
            for (const one of data[list]) counts[one[name]] = (counts[one[name]] || 0) + 1;
          }
        }
        return found;
      },
      async find(query) {
        const text = query.text.trim().toLowerCase();
        const found = data[query.list].filter(
          (one) =>
            FACETS[query.list].every((name) => query[name] === "" || one[name] === query[name]) &&
            within(one.gap, query.gap_min, query.gap_max) &&
            (text === "" || textOf(one).includes(text)),
        );
        const cases = found.slice(query.page * PAGE, (query.page + 1) * PAGE);
        return {
          total: found.length,
          cases: cases.map((one) => ({ ...one, pictures: one.pictures.map(picture) })),
        };
      },
    };
  }

  function served(api) {
    const get = async (path) => {
      const answer = await fetch(api + path);
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      return answer.json();
    };
    return {
      whole: true,
      facets: () => get("/facets"),
      find(query) {
        const asked = new URLSearchParams({ page: query.page });
        for (const name of FILTERS) if (query[name] !== "") asked.set(name, query[name]);
        return get(`/${query.list}?${asked}`);
      },
    };
  }

  // --- Small things -------------------------------------------------------------------------------------------------

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    // Strings become text nodes.
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  const count = (number) => number.toLocaleString("en-US");
  const spoken = (value) => SPOKEN[value] || value;

  function later(milliseconds, action) {
    let waiting = 0;
    return () => {
      clearTimeout(waiting);
      waiting = setTimeout(action, milliseconds);
    };
  }

  // --- A case -------------------------------------------------------------------------------------------------------

  function pictures(one, whole) {
    const drawn = one.pictures.map((address, place) => {
      if (!address) return make("p", { class: "gone" }, "This picture cannot be decoded.");
      const image = make("img", { src: address, alt: `Picture ${place + 1} of the problem` });
      return whole ? make("a", { href: address, target: "_blank", rel: "noopener" }, image) : image;
    });
    return drawn.length ? make("div", { class: "pictures" }, ...drawn) : null;
  }

  function asked(one) {
    const choices = one.choices.map(([letter, text, right]) =>
      make("li", { dir: "auto", class: right && "right" }, `${letter}. ${text}`, right ? make("span", {}, " (right)") : null),
    );
    const about = new Set([one.benchmark, spoken(one.style), ...one.caption].filter(Boolean));
    return make(
      "div",
      { class: "asked" },
      make("p", { class: "what" }, one.kind),
      make("h3", { class: "question", dir: "auto" }, one.question),
      choices.length ? make("ul", { class: "choices" }, ...choices) : null,
      one.answer ? make("p", { class: "gold" }, "Gold answer: ", make("strong", { dir: "auto" }, one.answer)) : null,
      make("p", { class: "source" }, [...about].join(" · ")),
    );
  }

  // Two texts with hardly a word in common are easier to read without marks.
  function comparable(one) {
    const length = (part) => part[1].length;
    const sum = (parts) => parts.map(length).reduce((a, b) => a + b, 0);
    const all = sum(one.sides.flatMap((side) => side.parts));
    return sum(one.sides.flatMap((side) => side.parts.filter((part) => part[0] === ""))) >= 0.2 * all;
  }

  function side(each, marks) {
    const mark = each.good ? "ins" : "del";
    const words = each.parts.map(([here, text]) => (here && marks ? make(mark, {}, text) : text));
    return make(
      "div",
      { class: each.good ? "side ok" : "side" },
      make("h4", {}, each.label),
      make("p", { class: "said", dir: "auto" }, ...words),
      each.notes.length ? make("p", { class: "notes" }, each.notes.join(" · ")) : null,
    );
  }

  function shownCase(one, whole) {
    const images = pictures(one, whole);
    const marks = comparable(one);
    const sides = one.sides.map((each) => side(each, marks));
    return make("article", { class: images ? "case" : "case blind" }, images, asked(one), ...sides);
  }

  // Long responses scroll in their box: the keyboard must reach what scrolls.
  function reachable(list) {
    for (const box of list.querySelectorAll(".said")) {
      if (box.scrollHeight > box.clientHeight + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", `${box.previousElementSibling.textContent}: the whole response`);
      }
    }
  }

  // --- The state of the filters, in the address -----------------------------------------------------------------------
  // #pairs?pairs.kind=format&pairs.page=2&items.text=bar: the section to go to, then the filters of both browsers.

  function readAddress(list) {
    const state = Object.fromEntries(FILTERS.map((name) => [name, ""]));
    const values = new URLSearchParams(location.hash.split("?")[1] || "");
    for (const name of FILTERS) state[name] = values.get(`${list}.${name}`) || "";
    state.page = Math.max(0, (parseInt(values.get(`${list}.page`), 10) || 1) - 1);
    return state;
  }

  function writeAddress(list, state) {
    const values = new URLSearchParams(location.hash.split("?")[1] || "");
    for (const name of FILTERS) {
      if (state[name] === "") values.delete(`${list}.${name}`);
      else values.set(`${list}.${name}`, state[name]);
    }
    if (state.page) values.set(`${list}.page`, state.page + 1);
    else values.delete(`${list}.page`);
    const text = values.toString();
    history.replaceState(null, "", `#${list}${text ? `?${text}` : ""}`);
  }

  // --- A browser ----------------------------------------------------------------------------------------------------

  function browser(root, source, facets) {
    const list = root.dataset.list;
    const total = facets[list].total;
    const state = readAddress(list);
    const controls = {};
    let latest = 0;

    const status = make("p", { class: "count", role: "status", "aria-live": "polite" });
    const results = make("div", { class: "cases", tabindex: "-1", "aria-label": `The ${NOUNS[list][1]} found`, role: "region" });
    const previous = make("button", { type: "button", onclick: () => turn(-1) }, "Previous");
    const next = make("button", { type: "button", onclick: () => turn(1) }, "Next");
    const where = make("span", { class: "where" });
    const pages = make("nav", { class: "pages", "aria-label": `Pages of ${NOUNS[list][1]}` }, previous, where, next);
    const reset = make("button", { type: "button", class: "reset", onclick: clear }, "Clear filters");

    function field(name, label, control) {
      control.id = `${list}-${name}`;
      controls[name] = control;
      return make("div", { class: `field ${name}` }, make("label", { for: control.id }, label), control);
    }

    function select(name) {
      const counts = Object.entries(facets[list][name] || {}).filter(([value]) => value !== "");
      if (counts.length < 2) return null;
      const options = counts.map(([value, n]) => make("option", { value }, `${spoken(value)} (${count(n)})`));
      const control = make("select", { onchange: changed }, make("option", { value: "" }, "all"), ...options);
      return field(name, name === "outcome" ? OUTCOME_OF[list] : LABELS[name], control);
    }

    // The gap is a share; people read and write per cent.
    function gap() {
      const label = list === "pairs" ? "Chosen longer by, %" : "After longer by, %";
      const control = (name, placeholder, bound) => {
        const settings = { type: "number", min: "-100", max: "100", step: "5", oninput: soon, placeholder };
        return (controls[name] = make("input", { ...settings, "aria-label": `${label}: ${bound}` }));
      };
      const both = make("div", {}, control("gap_min", "from", "at least"), control("gap_max", "to", "at most"));
      return make("div", { class: "field gap", role: "group" }, make("span", {}, label), both);
    }

    const soon = later(250, changed);
    const form = make(
      "div",
      { class: "filters", role: "search", "aria-label": `Filter ${NOUNS[list][1]}` },
      ...FACETS[list].map(select),
      gap(),
      field("text", "Text", make("input", { type: "search", placeholder: "in question or responses", oninput: soon })),
    );
    root.replaceChildren(form, make("div", { class: "found" }, status, reset), results, pages);

    function show() {
      for (const [name, control] of Object.entries(controls)) {
        const share = name.startsWith("gap") && state[name] !== "";
        control.value = share ? Math.round(Number(state[name]) * 100) : state[name];
      }
    }

    function changed() {
      for (const [name, control] of Object.entries(controls)) {
        const share = name.startsWith("gap") && control.value !== "";
        state[name] = share ? String(Number(control.value) / 100) : control.value;
      }
      state.page = 0;
      writeAddress(list, state);
      find();
    }

    function clear() {
      for (const name of FILTERS) state[name] = "";
      state.page = 0;
      show();
      writeAddress(list, state);
      find();
      form.querySelector("select, input").focus();
    }

    async function turn(step) {
      state.page += step;
      writeAddress(list, state);
      await find();
      results.focus({ preventScroll: true });
      status.scrollIntoView({ block: "start" });
    }

    async function find() {
      const mine = ++latest;
      let found;
      try {
        found = await source.find({ list, ...state });
      } catch (reason) {
        if (mine === latest) status.textContent = `There is no answer (${reason.message}). Is mixpref view still running?`;
        return;
      }
      // An answer that comes after a later one's question is of no use.
      if (mine !== latest) return;
      const last = Math.max(0, Math.ceil(found.total / PAGE) - 1);
      if (state.page > last) {
        state.page = last;
        return find();
      }
      status.textContent = `${count(found.total)} of ${count(total)} ${NOUNS[list][total === 1 ? 0 : 1]}`;
      results.replaceChildren(...found.cases.map((one) => shownCase(one, source.whole)));
      if (!found.total) results.append(make("p", { class: "muted" }, "Nothing matches these filters."));
      reachable(results);
      reset.hidden = FILTERS.every((name) => state[name] === "");
      pages.hidden = last === 0;
      where.textContent = `Page ${count(state.page + 1)} of ${count(last + 1)}`;
      previous.disabled = state.page === 0;
      next.disabled = state.page === last;
    }

    addEventListener("hashchange", () => {
      // A link to a section alone leaves the filters as they are.
      if (!location.hash.includes("?")) return;
      Object.assign(state, readAddress(list));
      show();
      find();
    });
    show();
    return find();
  }

  async function browsers() {
    const roots = [...document.querySelectorAll(".browser")];
    if (!roots.length) return;
    const api = document.querySelector('meta[name="mixpref-api"]');
    const cases = document.getElementById("cases");
    const source = api ? served(api.content) : embedded(JSON.parse(cases.textContent));
    try {
      const facets = await source.facets();
      await Promise.all(roots.map((root) => browser(root, source, facets)));
    } catch (reason) {
      for (const root of roots) root.append(make("p", { role: "alert" }, `The cases cannot be had: ${reason.message}`));
    }
    // The sections have their places only now, and where pictures stand above them, when these are there.
    const section = document.getElementById(location.hash.slice(1).split("?")[0]);
    if (!section) return;
    const images = [...document.querySelectorAll(".cases img")].map((image) => image.decode().catch(() => null));
    await Promise.race([Promise.all(images), new Promise((resolve) => setTimeout(resolve, 1500))]);
    section.scrollIntoView({ behavior: "instant" });
  }

  // --- Commands -----------------------------------------------------------------------------------------------------

  async function copy(code, button) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Not allowed here: marked, so that the keyboard copies it.
      getSelection().selectAllChildren(code);
      button.textContent = "Marked";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  }

  for (const code of document.querySelectorAll(".made code")) {
    const button = make("button", { type: "button", class: "copy", "aria-label": `Copy: ${code.textContent}` }, "Copy");
    button.addEventListener("click", () => copy(code, button));
    code.after(button);
  }
  browsers();
})();
