// PaiNN's messages (prerelax.networks.messages) over neighbour lists sorted by receiver, for GCC's vectors.
//
// The table has a row for each atom, of F columns each: x, y, z of the scaled vectors, the part to the scalars,
// the part along the direction; the filters have a row for each edge feature: to the scalars, along the
// direction, times the vectors. Where all vectors are zero the table has the last two parts and the filters the
// first two. F is a multiple of 64. Filters of a few dozen pairs at a time stay in the cache.

#include <cstdint>
#include <vector>

// A product holds a block of ROWS x VECTORS vectors of WIDTH floats in registers: AVX-512 has 32 of them, AVX2 16.
#ifdef __AVX512F__
static const int WIDTH = 16, ROWS = 4, VECTORS = 4;
#else
static const int WIDTH = 8, ROWS = 4, VECTORS = 2;
#endif
static const int COLUMNS = WIDTH * VECTORS;

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float unaligned __attribute__((vector_size(4 * WIDTH), aligned(4)));

static inline vec load(const float *p) { return *(const unaligned *)p; }
static inline void store(float *p, vec v) { *(unaligned *)p = v; }

static const int PAIRS = 48;

struct Sizes {
    int atoms, F, K, with_vectors;
    int columns() const { return with_vectors ? 5 * F : 2 * F; }
    int filters() const { return with_vectors ? 3 * F : 2 * F; }
    int scalars() const { return with_vectors ? 3 * F : 0; }
};

// C [m, N] = A [m, K] B [K, N]
static void product(const float *A, const float *B, float *C, int64_t m, int K, int N) {
    for (int n = 0; n < N; n += COLUMNS) {
        int64_t i = 0;
        for (; i + ROWS <= m; i += ROWS) {
            vec c[ROWS][VECTORS] = {};
            for (int k = 0; k < K; k++) {
                vec b[VECTORS];
                for (int q = 0; q < VECTORS; q++) b[q] = load(B + k * N + n + WIDTH * q);
                for (int r = 0; r < ROWS; r++)
                    for (int q = 0; q < VECTORS; q++) c[r][q] += A[(i + r) * K + k] * b[q];
            }
            for (int r = 0; r < ROWS; r++)
                for (int q = 0; q < VECTORS; q++) store(C + (i + r) * N + n + WIDTH * q, c[r][q]);
        }
        for (; i < m; i++) {
            vec c[VECTORS] = {};
            for (int k = 0; k < K; k++)
                for (int q = 0; q < VECTORS; q++) c[q] += A[i * K + k] * load(B + k * N + n + WIDTH * q);
            for (int q = 0; q < VECTORS; q++) store(C + i * N + n + WIDTH * q, c[q]);
        }
    }
}

// The block of R rows from row k and of COLUMNS columns from column n: D [K, N] += transpose of A [m, K], times G [m, N]
template <int R>
static void add_block(const float *A, const float *G, float *D, int64_t m, int K, int N, int k, int n) {
    vec c[R][VECTORS];
    for (int r = 0; r < R; r++)
        for (int q = 0; q < VECTORS; q++) c[r][q] = load(D + (k + r) * N + n + WIDTH * q);
    for (int64_t i = 0; i < m; i++) {
        vec g[VECTORS];
        for (int q = 0; q < VECTORS; q++) g[q] = load(G + i * N + n + WIDTH * q);
        for (int r = 0; r < R; r++)
            for (int q = 0; q < VECTORS; q++) c[r][q] += A[i * K + k + r] * g[q];
    }
    for (int r = 0; r < R; r++)
        for (int q = 0; q < VECTORS; q++) store(D + (k + r) * N + n + WIDTH * q, c[r][q]);
}

static void add_transposed_product(const float *A, const float *G, float *D, int64_t m, int K, int N) {
    for (int n = 0; n < N; n += COLUMNS) {
        int k = 0;
        for (; k + ROWS <= K; k += ROWS) add_block<ROWS>(A, G, D, m, K, N, k, n);
        for (; k < K; k++) add_block<1>(A, G, D, m, K, N, k, n);
    }
}

static int last_atom(const int64_t *first, int from, int atoms) {
    int to = from + 1;
    while (to < atoms && first[to + 1] - first[from] <= PAIRS) to++;
    return to;
}

extern "C" void forward(const float *table, const float *filters, const float *features, const float *direction,
                        const int64_t *first, const int64_t *sender, float *out, Sizes s) {
    const int F = s.F, N = s.filters();
    std::vector<float> weights;
    for (int from = 0, to; from < s.atoms; from = to) {
        to = last_atom(first, from, s.atoms);
        const int64_t begin = first[from], pairs = first[to] - begin;
        if ((int64_t)weights.size() < pairs * N) weights.resize(pairs * N);
        product(features + begin * s.K, filters, weights.data(), pairs, s.K, N);
        for (int atom = from; atom < to; atom++)
            for (int f = 0; f < F; f += WIDTH) {
                vec x = {}, y = {}, z = {}, sum = {};
                for (int64_t e = first[atom]; e < first[atom + 1]; e++) {
                    const float *t = table + sender[e] * s.columns() + f, *d = direction + 3 * e;
                    const float *w = weights.data() + (e - begin) * N + f;
                    vec along = load(w + F) * load(t + s.scalars() + F);
                    sum += load(w) * load(t + s.scalars());
                    x += d[0] * along, y += d[1] * along, z += d[2] * along;
                    if (s.with_vectors) {
                        vec times = load(w + 2 * F);
                        x += times * load(t), y += times * load(t + F), z += times * load(t + 2 * F);
                    }
                }
                float *o = out + (int64_t)atom * 4 * F + f;
                store(o, x), store(o + F, y), store(o + 2 * F, z), store(o + 3 * F, sum);
            }
    }
}

extern "C" void backward(const float *table, const float *filters, const float *features, const float *direction,
                         const int64_t *first, const int64_t *sender, const float *grad, float *grad_table,
                         float *grad_filters, Sizes s) {
    const int F = s.F, N = s.filters();
    std::vector<float> weights, grad_weights;
    for (int from = 0, to; from < s.atoms; from = to) {
        to = last_atom(first, from, s.atoms);
        const int64_t begin = first[from], pairs = first[to] - begin;
        if ((int64_t)weights.size() < pairs * N) weights.resize(pairs * N), grad_weights.resize(pairs * N);
        product(features + begin * s.K, filters, weights.data(), pairs, s.K, N);
        for (int atom = from; atom < to; atom++)
            for (int f = 0; f < F; f += WIDTH) {
                const float *g = grad + (int64_t)atom * 4 * F + f;
                vec x = load(g), y = load(g + F), z = load(g + 2 * F), sum = load(g + 3 * F);
                for (int64_t e = first[atom]; e < first[atom + 1]; e++) {
                    const int64_t row = sender[e] * s.columns() + f;
                    const float *t = table + row, *d = direction + 3 * e;
                    const float *w = weights.data() + (e - begin) * N + f;
                    float *gt = grad_table + row, *gw = grad_weights.data() + (e - begin) * N + f;
                    vec along = d[0] * x + d[1] * y + d[2] * z;
                    float *gs = gt + s.scalars();
                    store(gs, load(gs) + load(w) * sum);
                    store(gs + F, load(gs + F) + load(w + F) * along);
                    store(gw, sum * load(t + s.scalars()));
                    store(gw + F, along * load(t + s.scalars() + F));
                    if (s.with_vectors) {
                        vec times = load(w + 2 * F);
                        store(gt, load(gt) + times * x);
                        store(gt + F, load(gt + F) + times * y);
                        store(gt + 2 * F, load(gt + 2 * F) + times * z);
                        store(gw + 2 * F, x * load(t) + y * load(t + F) + z * load(t + 2 * F));
                    }
                }
            }
        add_transposed_product(features + begin * s.K, grad_weights.data(), grad_filters, pairs, s.K, N);
    }
}
