#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SERIES_MAX 6
#define POINTS_MAX 24
#define WIDTH 860
#define HEIGHT 500
#define LEFT 90
#define RIGHT 700 /* what is beyond holds the names of the curves */
#define TOP 60
#define BOTTOM 430
#define LABEL_BYTES 32
#define LABEL_HEIGHT 18.0

struct point {
    double x, y;
};

struct series {
    const char *name;
    size_t count;
    struct point points[POINTS_MAX];
};

static struct drawing {
    const char *path, *title, *x_name, *y_name;
    size_t count;
    struct series series[SERIES_MAX];
} drawings[PLOT_COUNT] = {
    [PLOT_LATENCY] = { .path = "build/bench-latency.svg",
                       .title = "Durable posts: latency against rate (open loop)",
                       .x_name = "posts a second",
                       .y_name = "ms" },
    [PLOT_EVENTS] = { .path = "build/bench-events.svg",
                      .title = "One chat: events a second against streams",
                      .x_name = "streams",
                      .y_name = "events a second" },
    [PLOT_COST] = { .path = "build/bench-cost.svg",
                    .title = "One chat: the server's processor time for an event",
                    .x_name = "streams",
                    .y_name = "µs" },
    [PLOT_SIZE] = { .path = "build/bench-size.svg",
                    .title = "A post: processor time up to its commit against size",
                    .x_name = "members of the chat (posted alone), or messages stored (256 connections)",
                    .y_name = "µs" },
};

/* ---- Points ---- */

static struct series *find_series(struct drawing *drawing, const char *name) {
    for (size_t i = 0; i < drawing->count; i++) {
        if (strcmp(drawing->series[i].name, name) == 0)
            return &drawing->series[i];
    }
    if (drawing->count == SERIES_MAX)
        return NULL;
    drawing->series[drawing->count].name = name;
    return &drawing->series[drawing->count++];
}

void plot_add(enum plot plot, const char *series_name, double x, double y) {
    struct series *series = x > 0 && y > 0 && isfinite(x) && isfinite(y) ? find_series(&drawings[plot], series_name) : NULL;
    if (series && series->count < POINTS_MAX)
        series->points[series->count++] = (struct point){ x, y };
}

/* ---- Axes ---- */

struct range {
    double low, high; /* powers of ten */
};

struct axes {
    struct range x, y;
};

static struct range widen(struct range range, double value) {
    double low = floor(log10(value)), high = ceil(log10(value));
    return (struct range){ low < range.low ? low : range.low, high > range.high ? high : range.high };
}

static struct axes axes_of(const struct drawing *drawing) {
    struct axes axes = { { INFINITY, -INFINITY }, { INFINITY, -INFINITY } };
    for (size_t i = 0; i < drawing->count; i++) {
        for (size_t j = 0; j < drawing->series[i].count; j++) {
            axes.x = widen(axes.x, drawing->series[i].points[j].x);
            axes.y = widen(axes.y, drawing->series[i].points[j].y);
        }
    }
    axes.x.high += axes.x.high == axes.x.low;
    axes.y.high += axes.y.high == axes.y.low;
    return axes;
}

static double place_x(const struct axes *axes, double value) {
    return LEFT + (log10(value) - axes->x.low) / (axes->x.high - axes->x.low) * (RIGHT - LEFT);
}

static double place_y(const struct axes *axes, double value) {
    return BOTTOM - (log10(value) - axes->y.low) / (axes->y.high - axes->y.low) * (BOTTOM - TOP);
}

static void write_power(double exponent, char out[LABEL_BYTES]) {
    if (exponent < 0)
        snprintf(out, LABEL_BYTES, "%.*f", (int)-exponent, pow(10, exponent));
    else if (exponent < 3)
        snprintf(out, LABEL_BYTES, "%.0f", pow(10, exponent));
    else if (exponent < 6)
        snprintf(out, LABEL_BYTES, "%.0f,000", pow(10, exponent - 3));
    else
        snprintf(out, LABEL_BYTES, "%.0f M", pow(10, exponent - 6));
}

static void draw_x_axis(const struct axes *axes, FILE *file) {
    char label[LABEL_BYTES];
    for (double exponent = axes->x.low; exponent <= axes->x.high; exponent++) {
        double x = place_x(axes, pow(10, exponent));
        write_power(exponent, label);
        fprintf(file, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#ccc'/>\n<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n",
                x, TOP, x, BOTTOM, x, BOTTOM + 20, label);
        for (int step = 2; step < 10 && exponent < axes->x.high; step++) {
            double between = place_x(axes, step * pow(10, exponent));
            fprintf(file, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#eee'/>\n", between, TOP, between, BOTTOM);
        }
    }
}

static void draw_y_axis(const struct axes *axes, FILE *file) {
    char label[LABEL_BYTES];
    for (double exponent = axes->y.low; exponent <= axes->y.high; exponent++) {
        double y = place_y(axes, pow(10, exponent));
        write_power(exponent, label);
        fprintf(file, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ccc'/>\n<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n",
                LEFT, y, RIGHT, y, LEFT - 8, y + 4, label);
        for (int step = 2; step < 10 && exponent < axes->y.high; step++) {
            double between = place_y(axes, step * pow(10, exponent));
            fprintf(file, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#eee'/>\n", LEFT, between, RIGHT, between);
        }
    }
}

/* ---- Curves ---- */

/* Told apart by people who see few colours, too (Okabe and Ito 2008). */
static const char *const colours[SERIES_MAX] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9" };

static void draw_curve(const struct series *series, const struct axes *axes, const char *colour, FILE *file) {
    fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='2.5' points='", colour);
    for (size_t i = 0; i < series->count; i++)
        fprintf(file, "%.1f,%.1f ", place_x(axes, series->points[i].x), place_y(axes, series->points[i].y));
    fprintf(file, "'/>\n");
    for (size_t i = 0; i < series->count; i++) {
        const struct point *point = &series->points[i];
        fprintf(file, "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'><title>%s: %.6g, %.4g</title></circle>\n", place_x(axes, point->x),
                place_y(axes, point->y), colour, series->name, point->x, point->y);
    }
}

static bool is_free(const double *taken, size_t count, double place) {
    for (size_t i = 0; i < count; i++) {
        if (fabs(taken[i] - place) < LABEL_HEIGHT)
            return false;
    }
    return true;
}

/* Beside its last point, or as near to it as the names that were written before leave room. */
static double label_place(const double *taken, size_t count, double wanted) {
    double distance = 0;
    while (!is_free(taken, count, wanted + distance) && !is_free(taken, count, wanted - distance))
        distance++;
    return is_free(taken, count, wanted + distance) ? wanted + distance : wanted - distance;
}

static void draw_curves(const struct drawing *drawing, const struct axes *axes, FILE *file) {
    double taken[SERIES_MAX];
    for (size_t i = 0; i < drawing->count; i++) {
        const struct series *series = &drawing->series[i];
        draw_curve(series, axes, colours[i], file);
        taken[i] = label_place(taken, i, place_y(axes, series->points[series->count - 1].y));
        fprintf(file, "<text x='%d' y='%.1f' fill='%s' font-weight='bold'>%s</text>\n", RIGHT + 12, taken[i] + 4, colours[i], series->name);
    }
}

static void draw(const struct drawing *drawing, FILE *file) {
    struct axes axes = axes_of(drawing);
    fprintf(
        file,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' font-family='sans-serif' font-size='13' fill='#333'>\n"
        "<rect width='%d' height='%d' fill='#fff'/>\n<text x='%d' y='32' font-size='18' font-weight='bold'>%s</text>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, drawing->title);
    draw_x_axis(&axes, file);
    draw_y_axis(&axes, file);
    draw_curves(drawing, &axes, file);
    fprintf(
        file,
        "<text x='%d' y='%d' text-anchor='middle'>%s</text>\n<text x='22' y='%d' text-anchor='middle' transform='rotate(-90 22 %d)'>%s</text>\n</svg>\n",
        (LEFT + RIGHT) / 2, BOTTOM + 46, drawing->x_name, (TOP + BOTTOM) / 2, (TOP + BOTTOM) / 2, drawing->y_name);
}

static bool has_curve(const struct drawing *drawing) {
    for (size_t i = 0; i < drawing->count; i++) {
        if (drawing->series[i].count > 1)
            return true;
    }
    return false;
}

enum outcome plots_write(void) {
    for (size_t i = 0; i < PLOT_COUNT; i++) {
        if (!has_curve(&drawings[i]))
            continue;
        FILE *file = fopen(drawings[i].path, "we");
        if (file)
            draw(&drawings[i], file);
        if (!file || ferror(file) | fclose(file)) {
            complain("cannot write %s: %s", drawings[i].path, strerror(errno));
            return OUTCOME_FAILED;
        }
        printf("\nplot      %s\n", drawings[i].path);
    }
    return OUTCOME_OK;
}
