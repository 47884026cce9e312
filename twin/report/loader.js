"use strict";
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, scrollZoom: false, doubleClick: false, showTips: false, responsive: false };
  const NARROW = 480, PRINT_WIDTH = 680;

  function draw(id, width, printed) {
    const place = document.getElementById(id), chart = figures[id];
    const narrow = width < NARROW && !(printed && place.dataset.columns === "1");
    const layout = Object.assign({}, chart.layout, narrow ? chart.narrow : {});
    layout.width = width;
    layout.height = narrow && !printed ? chart.narrow_height : chart.height;
    if (printed && chart.print_height) layout.height = chart.print_height;
    place.style.height = layout.height + "px";
    return Plotly.newPlot(place, chart.data, layout, config).then(function () {
      place.querySelectorAll("svg").forEach(function (svg) {
        svg.setAttribute("aria-hidden", "true");
        svg.setAttribute("focusable", "false");
      });
    });
  }

  function drawAll(printed) {
    return Promise.all(Object.keys(figures).map(function (id) {
      const place = document.getElementById(id);
      const columns = Number(place.dataset.columns);
      const width = printed ? Math.floor((PRINT_WIDTH - 16 * (columns - 1)) / columns) : Math.floor(place.clientWidth);
      return draw(id, width, printed);
    }));
  }

  function moveTables(printed) {
    document.querySelectorAll(".figure-table").forEach(function (fold) {
      const body = fold.querySelector(".scroll") || document.querySelector('#annex-body [data-from="' + fold.id + '"]');
      if (!body) return;
      body.dataset.from = fold.id;
      (printed ? document.getElementById("annex-body") : fold).appendChild(body);
    });
  }

  window.addEventListener("beforeprint", function () {
    moveTables(true);
    drawAll(true);
  });
  window.addEventListener("afterprint", function () {
    moveTables(false);
    drawAll(false);
  });

  let pending = 0, lastWidth = document.documentElement.clientWidth;
  window.addEventListener("resize", function () {
    if (document.documentElement.clientWidth === lastWidth) return;
    lastWidth = document.documentElement.clientWidth;
    clearTimeout(pending);
    pending = setTimeout(function () { drawAll(false); }, 150);
  });

  drawAll(false).then(function () { document.documentElement.dataset.ready = "1"; });
})();
