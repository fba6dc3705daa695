(function () {
  "use strict";
  var box = document.getElementById("frames"), all = Array.prototype.slice.call(box.children);
  var inner = +box.dataset.width, margin = +box.dataset.margin, letter = 6.6, near = 1e-6;
  var about = document.getElementById("about"), found = document.getElementById("found");
  var reset = document.getElementById("reset"), search = document.getElementById("search");
  function facts(g) {
    return { x: +g.dataset.x, w: +g.dataset.w, l: +g.dataset.l };
  }
  function title(g) {
    return g.firstChild.textContent;
  }
  function name(g) {
    return title(g).replace(/ \([^(]*\)$/, "");
  }
  function place(g, x, w) {
    var rect = g.children[1], text = g.children[2], whole = name(g), room = Math.floor(w / letter);
    rect.setAttribute("x", x);
    rect.setAttribute("width", w);
    text.setAttribute("x", x + 3);
    text.textContent = room < 3 ? "" : whole.length <= room ? whole : whole.slice(0, room - 2) + "..";
  }
  function zoom(to) {
    var t = facts(to);
    all.forEach(function (g) {
      var f = facts(g), outer = f.l < t.l && f.x <= t.x + near && f.x + f.w >= t.x + t.w - near;
      var within = f.l >= t.l && f.x >= t.x - near && f.x + f.w <= t.x + t.w + near;
      g.style.display = outer || within ? "" : "none";
      g.classList.toggle("p", outer);
      if (outer) {
        place(g, margin, inner);
      } else if (within) {
        place(g, margin + (f.x - t.x) / t.w * inner, f.w / t.w * inner);
      }
    });
    reset.setAttribute("visibility", t.l > 0 ? "visible" : "hidden");
  }
  function mark() {
    var text = window.prompt("Search for a regular expression; nothing ends the search.", ""), pattern, spans = [];
    if (text === null) {
      return;
    }
    try {
      pattern = text ? new RegExp(text) : null;
    } catch (error) {
      found.textContent = String(error.message);
      return;
    }
    all.forEach(function (g) {
      var fits = pattern !== null && pattern.test(name(g));
      g.classList.toggle("m", fits);
      if (fits) {
        spans.push(facts(g));
      }
    });
    // What a box below covers counts once.
    spans.sort(function (a, b) {
      return a.x - b.x || a.l - b.l;
    });
    var end = -1, sum = 0;
    spans.forEach(function (s) {
      if (s.x >= end - near) {
        sum += s.w;
        end = s.x + s.w;
      }
    });
    found.textContent = pattern ? "found: " + (sum * 100).toFixed(2) + "%" : "";
  }
  all.forEach(function (g) {
    g.addEventListener("click", function () { zoom(g); });
    g.addEventListener("mouseover", function () { about.textContent = title(g); });
    g.addEventListener("mouseout", function () { about.textContent = ""; });
  });
  reset.addEventListener("click", function () { zoom(all[0]); });
  search.addEventListener("click", mark);
  window.addEventListener("keydown", function (event) {
    if (event.key === "/") {
      event.preventDefault();
      mark();
    } else if (event.key === "Escape") {
      zoom(all[0]);
    }
  });
})();
