/* law_labels.c - laws 1 and 2: no label is wrong, whatever the data look like.
 *
 * The covering set meets every pair of values of (kind of data, columns, clusters, rows, number type)
 * that can go together. What is right is a scan of all centers, written in law.c for this alone. */
#include <math.h>

#include "tests/laws/law.h"

static const int64_t columns_of[] = {1, 2, 3, 7, 8, 16, 31, 32, 33, 64, 127, 128, 512, 784, 1024};
static const int64_t clusters_of[] = {1, 2, 15, 16, 17, 64, 128, 1000};
static const int64_t rows_of[] = {4095, 4096, 4097};
enum { COLUMNS = 15, CLUSTERS = 8, ROWS = 3, ROWS_BIG = 131 };

/* A case, and its centers. */
struct sample {
    struct data data;
    double *centers;
    int64_t clusters;
    uint64_t seed;
};

static void fill_normal(struct sample *sample, double mean, double scale)
{
    for (int64_t i = 0; i < sample->data.rows; i++)
        for (int64_t d = 0; d < sample->data.columns; d++)
            data_set(&sample->data, i, d, scale * (mean + check_normal(&sample->seed)));
}

/* Centers are rows, moved a little. */
static void centers_near_rows(struct sample *sample, double share)
{
    struct data *data = &sample->data;

    for (int64_t j = 0; j < sample->clusters; j++) {
        int64_t row = (int64_t)(check_random(&sample->seed) % (uint64_t)data->rows);
        for (int64_t d = 0; d < data->columns; d++) {
            double x = data_at(data, row, d);
            sample->centers[j * data->columns + d] =
                x + share * fabs(x) * check_normal(&sample->seed);
        }
    }
}

static void normal_at_0(struct sample *sample)
{
    fill_normal(sample, 0, 1);
    centers_near_rows(sample, 0.3);
}

static void normal_at_10(struct sample *sample)
{
    fill_normal(sample, 10, 1);
    centers_near_rows(sample, 0.03);
}

static void normal_at_100(struct sample *sample)
{
    fill_normal(sample, 100, 1);
    centers_near_rows(sample, 0.003);
}

static void normal_at_10000(struct sample *sample)
{
    fill_normal(sample, 1e4, 1);
    centers_near_rows(sample, 3e-5);
}

static void uniform(struct sample *sample)
{
    for (int64_t i = 0; i < sample->data.rows; i++)
        for (int64_t d = 0; d < sample->data.columns; d++)
            data_set(&sample->data, i, d, check_uniform(&sample->seed));
    centers_near_rows(sample, 0.2);
}

static void blobs_of(struct sample *sample, int64_t blobs)
{
    struct data made = data_blobs(sample->data.number, sample->data.rows, sample->data.columns,
                                  blobs > 0 ? blobs : 1, 1, sample->seed);

    data_free(&sample->data);
    sample->data = made;
    centers_near_rows(sample, 0.01);
}

static void blobs(struct sample *sample)
{
    blobs_of(sample, sample->clusters);
}

static void half_as_many_blobs(struct sample *sample)
{
    blobs_of(sample, sample->clusters / 2);
}

static void every_row_8_times(struct sample *sample)
{
    struct data *data = &sample->data;

    fill_normal(sample, 0, 1);
    for (int64_t i = 0; i < data->rows; i++)
        for (int64_t d = 0; d < data->columns; d++)
            data_set(data, i, d, data_at(data, i / 8 * 8, d));
    centers_near_rows(sample, 0.2);
}

/* Distances are small integers: ties everywhere, and all of them exact. */
static void integers_0_to_2(struct sample *sample)
{
    struct data *data = &sample->data;

    for (int64_t i = 0; i < data->rows; i++)
        for (int64_t d = 0; d < data->columns; d++)
            data_set(data, i, d, (double)(check_random(&sample->seed) % 3));
    centers_near_rows(sample, 0);
}

/* Few bits: rows and centers that any low precision holds exactly, mirrored about 0. */
static void few_bits(struct sample *sample)
{
    struct data *data = &sample->data;

    for (int64_t i = 0; i < data->rows; i++)
        for (int64_t d = 0; d < data->columns; d++) {
            double x = ldexp(1, -(int)(check_random(&sample->seed) % 14));
            data_set(data, i, d, check_random(&sample->seed) & 1 ? x : -x);
        }
    centers_near_rows(sample, 0);
    for (int64_t j = 1; j < sample->clusters; j += 2)
        for (int64_t d = 0; d < data->columns; d++)
            sample->centers[j * data->columns + d] = -sample->centers[(j - 1) * data->columns + d];
}

/* Each row lies half way between two centers, but for rounding. */
static void rows_on_bisectors(struct sample *sample)
{
    struct data *data = &sample->data;
    int64_t columns = data->columns, k = sample->clusters;

    for (int64_t i = 0; i < k * columns; i++)
        sample->centers[i] = check_normal(&sample->seed);
    for (int64_t i = 0; i < data->rows; i++) {
        int64_t a = (int64_t)(check_random(&sample->seed) % (uint64_t)k);
        int64_t b = (int64_t)(check_random(&sample->seed) % (uint64_t)k);
        for (int64_t d = 0; d < columns; d++)
            data_set(data, i, d,
                     (sample->centers[a * columns + d] + sample->centers[b * columns + d]) / 2);
    }
}

/* Rows at distance 1 from many centers that sit within 1e-15 of each other. */
static void centers_near_one_point(struct sample *sample)
{
    struct data *data = &sample->data;

    fill_normal(sample, 0, 1);
    for (int64_t j = 0; j < sample->clusters; j++)
        for (int64_t d = 0; d < data->columns; d++)
            sample->centers[j * data->columns + d] =
                check_normal(&sample->seed) * pow(10, -15 - (double)(j % 6));
}

static void unit_norm_power_law(struct sample *sample)
{
    struct data *data = &sample->data;

    for (int64_t i = 0; i < data->rows; i++) {
        double norm = 0;
        double *x = malloc((size_t)data->columns * sizeof *x);
        for (int64_t d = 0; d < data->columns; d++) {
            x[d] = (check_normal(&sample->seed) + 0.5) / sqrt(1 + (double)d);
            norm += x[d] * x[d];
        }
        for (int64_t d = 0; d < data->columns; d++)
            data_set(data, i, d, x[d] / sqrt(norm));
        free(x);
    }
    centers_near_rows(sample, 0.1);
}

static void magnitudes(struct sample *sample, bool per_column, bool per_row)
{
    struct data *data = &sample->data;

    for (int64_t i = 0; i < data->rows; i++)
        for (int64_t d = 0; d < data->columns; d++) {
            uint64_t at = per_column ? (uint64_t)d * 7 : (uint64_t)i * 11;
            uint64_t draw = per_column || per_row ? at : check_random(&sample->seed);
            data_set(data, i, d, ldexp(check_normal(&sample->seed), (int)(draw % 40) - 20));
        }
    centers_near_rows(sample, 0.2);
}

static void magnitudes_per_value(struct sample *sample)
{
    magnitudes(sample, false, false);
}

static void magnitudes_per_column(struct sample *sample)
{
    magnitudes(sample, true, false);
}

static void magnitudes_per_row(struct sample *sample)
{
    magnitudes(sample, false, true);
}

static void one_row_in_97_far_away(struct sample *sample)
{
    struct data *data = &sample->data;

    fill_normal(sample, 0, 1);
    for (int64_t i = 0; i < data->rows; i += 97)
        for (int64_t d = 0; d < data->columns; d++)
            data_set(data, i, d, 1e5 * data_at(data, i, d));
    centers_near_rows(sample, 0.2);
}

static void tiny(struct sample *sample) /* subnormal in float32 */
{
    fill_normal(sample, 0, 0x1p-140);
    centers_near_rows(sample, 0.2);
}

static void huge(struct sample *sample)
{
    fill_normal(sample, 0, 0x1p120);
    centers_near_rows(sample, 0.2);
}

static void squares_underflow(struct sample *sample)
{
    fill_normal(sample, 0, sample->data.number == NUMBER_F64 ? 1e-300 : 1e-38);
    centers_near_rows(sample, 0.2);
}

static void near_the_largest_allowed(struct sample *sample)
{
    fill_normal(sample, 0, sample->data.number == NUMBER_F64 ? 1e140 : 1e37);
    centers_near_rows(sample, 0.2);
}

static void centers_equal_to_each_other(struct sample *sample)
{
    fill_normal(sample, 1, 1);
    centers_near_rows(sample, 0);
    for (int64_t j = 0; j < sample->clusters; j++)
        memcpy(sample->centers + j * sample->data.columns,
               sample->centers + j / 3 * sample->data.columns,
               (size_t)sample->data.columns * sizeof(double));
}

static void all_rows_equal(struct sample *sample)
{
    for (int64_t i = 0; i < sample->data.rows; i++)
        for (int64_t d = 0; d < sample->data.columns; d++)
            data_set(&sample->data, i, d, 0.1 * (double)(d + 1));
    centers_near_rows(sample, 0.5);
}

static void negative_zeros(struct sample *sample)
{
    struct data *data = &sample->data;

    for (int64_t i = 0; i < data->rows; i++)
        for (int64_t d = 0; d < data->columns; d++)
            data_set(data, i, d, check_random(&sample->seed) & 1 ? -0.0 : 0.0);
    for (int64_t j = 0; j < sample->clusters; j++)
        for (int64_t d = 0; d < data->columns; d++)
            sample->centers[j * data->columns + d] = j % 2 ? 0.0 : 1e-200 * (double)(j % 5);
}

struct kind {
    const char *name;
    void (*fill)(struct sample *sample);
};
#define KIND(function)      \
    {                       \
#function, function \
    }
static const struct kind kinds[] = {
    KIND(normal_at_0),
    KIND(normal_at_10),
    KIND(normal_at_100),
    KIND(normal_at_10000),
    KIND(uniform),
    KIND(blobs),
    KIND(half_as_many_blobs),
    KIND(every_row_8_times),
    KIND(integers_0_to_2),
    KIND(few_bits),
    KIND(rows_on_bisectors),
    KIND(centers_near_one_point),
    KIND(unit_norm_power_law),
    KIND(magnitudes_per_value),
    KIND(magnitudes_per_column),
    KIND(magnitudes_per_row),
    KIND(one_row_in_97_far_away),
    KIND(tiny),
    KIND(huge),
    KIND(squares_underflow),
    KIND(near_the_largest_allowed),
    KIND(centers_equal_to_each_other),
    KIND(all_rows_equal),
    KIND(negative_zeros),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One case of the covering set. */
struct point {
    int kind, columns, clusters, rows, number;
};

/* Every (kind, columns) once; the other indices run so that all their pairs come up too, which
 * the claim below counts. */
static struct point point_of(int kind, int columns)
{
    return (struct point){.kind = kind,
                          .columns = columns,
                          .clusters = (kind + columns) % CLUSTERS,
                          .rows = (kind / CLUSTERS + columns / 2 + kind) % ROWS,
                          .number = (kind / 3 + columns + kind / CLUSTERS) % 2};
}

static void pair_seen(struct check *check, const char *what, const bool *seen, int count)
{
    for (int i = 0; i < count; i++)
        if (!seen[i])
            check_failed(check, __FILE__, __LINE__, "pair %d of %s is missing", i, what);
}

static void the_covering_set_covers_every_pair(struct check *check)
{
    bool kind_clusters[KINDS * CLUSTERS] = {0}, kind_rows[KINDS * ROWS] = {0};
    bool kind_number[KINDS * 2] = {0}, columns_clusters[COLUMNS * CLUSTERS] = {0};
    bool columns_rows[COLUMNS * ROWS] = {0}, columns_number[COLUMNS * 2] = {0};
    bool clusters_rows[CLUSTERS * ROWS] = {0}, clusters_number[CLUSTERS * 2] = {0};
    bool rows_number[ROWS * 2] = {0};

    for (int kind = 0; kind < KINDS; kind++)
        for (int columns = 0; columns < COLUMNS; columns++) {
            struct point at = point_of(kind, columns);
            kind_clusters[kind * CLUSTERS + at.clusters] = true;
            kind_rows[kind * ROWS + at.rows] = true;
            kind_number[kind * 2 + at.number] = true;
            columns_clusters[columns * CLUSTERS + at.clusters] = true;
            columns_rows[columns * ROWS + at.rows] = true;
            columns_number[columns * 2 + at.number] = true;
            clusters_rows[at.clusters * ROWS + at.rows] = true;
            clusters_number[at.clusters * 2 + at.number] = true;
            rows_number[at.rows * 2 + at.number] = true;
        }
    pair_seen(check, "kind, clusters", kind_clusters, KINDS * CLUSTERS);
    pair_seen(check, "kind, rows", kind_rows, KINDS * ROWS);
    pair_seen(check, "kind, number", kind_number, KINDS * 2);
    pair_seen(check, "columns, clusters", columns_clusters, COLUMNS * CLUSTERS);
    pair_seen(check, "columns, rows", columns_rows, COLUMNS * ROWS);
    pair_seen(check, "columns, number", columns_number, COLUMNS * 2);
    pair_seen(check, "clusters, rows", clusters_rows, CLUSTERS * ROWS);
    pair_seen(check, "clusters, number", clusters_number, CLUSTERS * 2);
    pair_seen(check, "rows, number", rows_number, ROWS * 2);
}

static struct sample sample_new(const struct point *at, int64_t rows)
{
    struct sample sample = {.clusters = clusters_of[at->clusters],
                            .seed = (uint64_t)(at->kind * 1000 + at->columns)};
    int64_t columns = columns_of[at->columns];

    sample.data = data_new(at->number ? NUMBER_F64 : NUMBER_F32, rows, columns);
    sample.centers = calloc((size_t)(sample.clusters * columns), sizeof(double));
    kinds[at->kind].fill(&sample);
    for (int64_t i = 0; i < sample.clusters * columns; i++)
        sample.centers[i] += 0.0; /* as on entry */
    return sample;
}

static void sample_free(struct sample *sample)
{
    data_free(&sample->data);
    free(sample->centers);
}

static int64_t labels_wrong(const int32_t *got, const int32_t *want, int64_t rows)
{
    int64_t wrong = 0;

    for (int64_t i = 0; i < rows; i++)
        wrong += got[i] != want[i];
    return wrong;
}

static void labels_compare(struct check *check, const struct machines *machines,
                           const struct sample *sample, double pairs_most)
{
    int64_t rows = sample->data.rows;
    int32_t *want = malloc((size_t)rows * sizeof *want), *got = malloc((size_t)rows * sizeof *got);
    double pairs = (double)rows * (double)(sample->clusters * sample->data.columns);

    law_labels(&sample->data, sample->centers, sample->clusters, want);
    for (int m = 0; m < machines->count; m++) {
        const struct machine *machine = &machines->machine[m];
        bool slow = strstr(machine->name, "plain") != NULL;
        if (slow && pairs > pairs_most) /* no lanes: only where it takes milliseconds */
            continue;
        memset(got, 0x7f, (size_t)rows * sizeof *got);
        if (law_predict(check, machine, &sample->data, 0, sample->centers, sample->clusters, got,
                        NULL) &&
            labels_wrong(got, want, rows) != 0)
            check_failed(check, __FILE__, __LINE__, "%s: %" PRId64 " of %" PRId64 " labels wrong",
                         machine->name, labels_wrong(got, want, rows), rows);
    }
    free(want);
    free(got);
}

/* The heaviest cells (1000 x 784, 1000 x 1024) keep their shape with fewer rows. In the emulator all do:
 * from 512 columns on there are as many as a product of matrices takes at least, but for 1000 clusters. */
static int64_t rows_sized(const struct point *at)
{
    int64_t columns = columns_of[at->columns], clusters = clusters_of[at->clusters];
    int64_t fewer = 1 + 100000 / (columns * clusters);

    if (!law_emulated())
        return columns * clusters > 200000 ? ROWS_BIG : rows_of[at->rows];
    if (columns >= 512 && clusters >= 64 && clusters < 1000)
        return ROWS_BIG;
    return fewer < 75 ? fewer : 75;
}

static void cover(struct check *check, int number_of_threads)
{
    const int threads[] = {number_of_threads, 0};
    struct machines machines = machines_open(check, threads);

    for (int kind = 0; kind < KINDS; kind++)
        for (int columns = 0; columns < COLUMNS; columns++) {
            struct point at = point_of(kind, columns);
            int one_of = CHECK_SANITIZED ? 8 : law_emulated() ? 4 : 1;
            if ((kind / 2 + columns) % one_of != 0) /* with all numbers of clusters */
                continue;
            struct sample sample = sample_new(&at, rows_sized(&at));
            check_note(check, "%s rows=%" PRId64 " columns=%" PRId64 " clusters=%" PRId64 " %s",
                       kinds[kind].name, sample.data.rows, sample.data.columns, sample.clusters,
                       at.number ? "f64" : "f32");
            labels_compare(check, &machines, &sample, 2e6);
            sample_free(&sample);
        }
    machines_close(&machines);
}

static void no_label_is_wrong(struct check *check)
{
    cover(check, 2);
}

/* Every kind at small shapes, on every machine and number of threads. */
static void no_label_is_wrong_at_small_shapes(struct check *check)
{
    static const int threads[] = {1, 3, 8, 0};
    struct machines machines = machines_open(check, threads);

    for (int kind = 0; kind < KINDS; kind++)
        for (int number = 0; number < 2; number++)
            for (int columns = 0; columns < 6; columns++) {
                if ((CHECK_SANITIZED || law_emulated()) && (kind + columns) % 2 != number)
                    continue;
                struct point at = {.kind = kind,
                                   .columns = columns,
                                   .clusters = (kind + columns) % 7,
                                   .number = number};
                struct sample sample = sample_new(&at, 1 + (kind * 37 + columns * 11) % 130);
                check_note(check, "%s rows=%" PRId64 " columns=%" PRId64 " clusters=%" PRId64 " %s",
                           kinds[kind].name, sample.data.rows, sample.data.columns, sample.clusters,
                           number ? "f64" : "f32");
                labels_compare(check, &machines, &sample, INFINITY);
                sample_free(&sample);
            }
    machines_close(&machines);
}

static void distances_are_roots_of_canonical_ones(struct check *check)
{
    static const int threads[] = {1, 3, 0};
    struct machines machines = machines_open(check, threads);

    for (int kind = 0; kind < KINDS; kind++) {
        struct point at = {
            .kind = kind, .columns = kind % 9, .clusters = 1 + kind % 5, .number = kind % 2};
        struct sample sample = sample_new(&at, 61);
        int64_t columns = sample.data.columns, pairs = 61 * sample.clusters;
        double *x = data_rows(&sample.data, NULL, 61);
        double *got = malloc((size_t)pairs * sizeof *got);
        for (int m = 0; m < machines.count; m++) {
            check_note(check, "%s, %s", kinds[kind].name, machines.machine[m].name);
            law_predict(check, &machines.machine[m], &sample.data, 7, sample.centers,
                        sample.clusters, NULL, got);
            for (int64_t i = 0; i < pairs; i++)
                check_equal_bits(
                    check, got[i],
                    sqrt(law_canonical(x + i / sample.clusters * columns,
                                       sample.centers + i % sample.clusters * columns, columns)));
        }
        free(x);
        free(got);
        sample_free(&sample);
    }
    machines_close(&machines);
}

CHECKS(CLAIM(the_covering_set_covers_every_pair), CLAIM(no_label_is_wrong),
       CLAIM(no_label_is_wrong_at_small_shapes), CLAIM(distances_are_roots_of_canonical_ones))
