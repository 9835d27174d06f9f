// Online softmax (Milakov & Gimelshein, arXiv 1805.02867) over blocks of keys, in the order of the
// keys. A piece of work is one kv head and a few queries; the query heads that share the kv head
// are rows of it, so keys and values are read once for all of them. Keys and values are used where
// they lie: a single query (decoding) costs one pass over them.
#include "adder/kernels/cpu/attention.h"

#include "adder/kernels/cpu/simd.h"
#include "adder/kernels/cpu/sum_each.h"
#include "adder/kernels/scratch.h"

namespace adder::kernels::ADDER_ISA {
namespace {

constexpr int64_t kRows = 64;   // (query, head) rows of a piece, about
constexpr int64_t kBlock = 64;  // keys that meet them together
constexpr int kTileRows = kLanes == 16 ? 4 : 2;
constexpr int kTileKeys = 4;
constexpr int kSumRows = 4, kSumVectors = 2;
// So a row sees a key of the first block already, whatever the window: its largest score is finite.
static_assert(kRows <= kBlock && kBlock % kLanes == 0);
constexpr float kNever = -__builtin_inff();

/// Keys [from, to) of a block.
struct Keys {
  int64_t from, to;
};

/// One kv head: its keys and values, and the rows that meet them.
struct Piece {
  const float *k, *v;
  int64_t k_stride, v_stride, head_dim;
  int64_t rows;
  int64_t own, group, window;  // the key of row 0, rows of a query, keys that it sees (0: all)
  float* q;                    // (rows, head_dim), scaled
  float* weights;              // (rows, kBlock): scores, then exp(score - top)
  float* sums;                 // (rows, head_dim): of weight * v so far
  float *top, *total, *decay;  // (rows): largest score, sum of weights, factor of older weights

  /// What a row sees of the block of `count` keys that begins at `begin`; from <= to.
  Keys seen(int64_t row, int64_t begin, int64_t count) const {
    const int64_t last = own + row / group - begin;
    const int64_t to = last < 0 ? 0 : last < count ? last + 1 : count;
    const int64_t oldest = window > 0 ? last - window + 1 : 0;
    return {oldest < 0 ? 0 : oldest < to ? oldest : to, to};
  }
};

/// weights[row.., key..] = q . k for R rows and K keys.
template <int R, int K>
ADDER_INLINE void score_tile(const Piece& p, int64_t row, int64_t begin, int64_t key) {
  vf sums[R][K] = {};
  for (int64_t d = 0; d < p.head_dim; d += kLanes) {
    const int64_t left = p.head_dim - d;
    vf keys[K];
    for (int j = 0; j < K; ++j)
      keys[j] = load_up_to(p.k + (begin + key + j) * p.k_stride + d, left);
    for (int r = 0; r < R; ++r) {
      const vf q = load_up_to(p.q + (row + r) * p.head_dim + d, left);
      for (int j = 0; j < K; ++j) sums[r][j] += q * keys[j];
    }
  }
  for (int r = 0; r < R; ++r) {
    float* to = p.weights + (row + r) * kBlock + key;
    if constexpr (K == 4) {
      const vf4 four = sum_each(fold_add(sums[r][0]), fold_add(sums[r][1]), fold_add(sums[r][2]),
                                fold_add(sums[r][3]));
      for (int j = 0; j < K; ++j) to[j] = four[j];
    } else {
      for (int j = 0; j < K; ++j) to[j] = sum(sums[r][j]);
    }
  }
}

/// The rows [row, row + R) against the keys [begin, begin + count).
template <int R>
void score_rows(const Piece& p, int64_t row, int64_t begin, int64_t count) {
  int64_t key = 0;
  for (; key + kTileKeys <= count; key += kTileKeys) score_tile<R, kTileKeys>(p, row, begin, key);
  for (; key < count; ++key) score_tile<R, 1>(p, row, begin, key);
}

/// What R rows see of a block: keys outside [some.from, some.to) none of them, those of `all` each.
template <int R>
struct Sight {
  Keys row[R], some, all;
};

template <int R>
ADDER_INLINE Sight<R> sight(const Piece& p, int64_t row, int64_t begin, int64_t count) {
  Sight<R> s{{}, {count, 0}, {0, count}};
  for (int r = 0; r < R; ++r) {
    const Keys keys = s.row[r] = p.seen(row + r, begin, count);
    if (keys.from < s.some.from) s.some.from = keys.from;
    if (keys.to > s.some.to) s.some.to = keys.to;
    if (keys.from > s.all.from) s.all.from = keys.from;
    if (keys.to < s.all.to) s.all.to = keys.to;
  }
  if (s.all.from > s.all.to) s.all = {s.some.to, s.some.to};
  return s;
}

/// sums[row.., d..] = decay * sums + weights . v for R rows and V vectors. What a row does not see
/// is left out, not multiplied by zero: it may be infinite or no number.
template <int R, int V>
ADDER_INLINE void value_tile(const Piece& p, int64_t row, int64_t d, int64_t begin,
                             const Sight<R>& sight) {
  const int64_t left = p.head_dim - d;
  vf sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v)
      sums[r][v] = splat(p.decay[row + r]) *
                   load_up_to(p.sums + (row + r) * p.head_dim + d + v * kLanes, left - v * kLanes);
  const auto add = [&](int64_t key, const auto& sees) {
    const float* from = p.v + (begin + key) * p.v_stride + d;
    vf values[V];
    for (int v = 0; v < V; ++v) values[v] = load_up_to(from + v * kLanes, left - v * kLanes);
    for (int r = 0; r < R; ++r) {
      if (!sees(sight.row[r], key)) continue;
      const vf weight = splat(p.weights[(row + r) * kBlock + key]);
      for (int v = 0; v < V; ++v) sums[r][v] += weight * values[v];
    }
  };
  const auto asks = [](const Keys& keys, int64_t key) { return key >= keys.from && key < keys.to; };
  int64_t key = sight.some.from;
  for (; key < sight.all.from; ++key) add(key, asks);
  for (; key < sight.all.to; ++key) add(key, [](const Keys&, int64_t) { return true; });
  for (; key < sight.some.to; ++key) add(key, asks);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v)
      store_up_to(p.sums + (row + r) * p.head_dim + d + v * kLanes, sums[r][v], left - v * kLanes);
}

template <int R>
void value_rows(const Piece& p, int64_t row, int64_t begin, int64_t count) {
  const Sight<R> seen = sight<R>(p, row, begin, count);
  int64_t d = 0;
  for (; d + kSumVectors * kLanes <= p.head_dim; d += kSumVectors * kLanes)
    value_tile<R, kSumVectors>(p, row, d, begin, seen);
  for (; d < p.head_dim; d += kLanes) value_tile<R, 1>(p, row, d, begin, seen);
}

/// Scores become weights: exp(score - top) for the keys of the block that the row sees, zero for
/// the others up to `count`. `top`, `total` and `decay` follow.
void weigh(const Piece& p, int64_t row, const Keys& seen, int64_t count) {
  float* weights = p.weights + row * kBlock;
  for (int64_t j = 0; j < count; ++j)
    if (j < seen.from || j >= seen.to) weights[j] = kNever;
  for (int64_t j = count; j % kLanes != 0; ++j) weights[j] = kNever;
  vf largest_of = splat(p.top[row]);
  for (int64_t j = 0; j < count; j += kLanes) largest_of = max(load(weights + j), largest_of);
  const float top = largest(largest_of);
  p.decay[row] = exp(splat(p.top[row] - top))[0];
  p.top[row] = top;
  vf total{};
  for (int64_t j = 0; j < count; j += kLanes) {
    const vf weight = exp(load(weights + j) - top);
    store(weights + j, weight);
    total += weight;
  }
  p.total[row] = p.total[row] * p.decay[row] + sum(total);
}

/// body.operator()<R>(row) for tiles of at most R rows that cover [0, rows).
template <int R, typename Body>
ADDER_INLINE void for_rows(int64_t row, int64_t rows, const Body& body) {
  for (; row + R <= rows; row += R) body.template operator()<R>(row);
  if constexpr (R > 1) for_rows<R / 2>(row, rows, body);
}

/// The queries [begin, end) of the query heads that share kv head `g`.
void attend(const AttentionInputs& in, const View<3>& y, int64_t g, int64_t begin, int64_t end,
            Piece& p) {
  const int64_t group = in.q.size[1] / in.k.size[1], head_dim = p.head_dim;
  p.k = static_cast<const float*>(in.k.data) + g * in.k.stride[1];
  p.v = static_cast<const float*>(in.v.data) + g * in.v.stride[1];
  p.rows = (end - begin) * group;
  p.own = in.first + begin;
  const auto place = [&](const View<3>& view, int64_t row) {
    return static_cast<float*>(view.data) + (begin + row / group) * view.stride[0] +
           (g * group + row % group) * view.stride[1];
  };
  for (int64_t row = 0; row < p.rows; ++row) {
    const float* q = place(in.q, row);
    for (int64_t d = 0; d < head_dim; ++d) {
      p.q[row * head_dim + d] = q[d] * static_cast<float>(in.scale);
      p.sums[row * head_dim + d] = 0;
    }
    p.top[row] = kNever;
    p.total[row] = 0;
  }
  const int64_t oldest = in.window > 0 && p.own >= in.window ? p.own - in.window + 1 : 0;
  const int64_t last = in.first + end;
  for (int64_t key = oldest; key < last; key += kBlock) {
    const int64_t count = key + kBlock < last ? kBlock : last - key;
    for_rows<kTileRows>(0, p.rows, [&]<int R>(int64_t row) { score_rows<R>(p, row, key, count); });
    for (int64_t row = 0; row < p.rows; ++row) weigh(p, row, p.seen(row, key, count), count);
    for_rows<kSumRows>(0, p.rows, [&]<int R>(int64_t row) { value_rows<R>(p, row, key, count); });
  }
  for (int64_t row = 0; row < p.rows; ++row) {
    float* to = place(y, row);
    for (int64_t d = 0; d < head_dim; ++d) to[d] = p.sums[row * head_dim + d] / p.total[row];
  }
}

}  // namespace

void attention(const AttentionInputs& in, const View<3>& y, const Parallel& parallel) {
  const int64_t length = in.q.size[0], kv_heads = in.k.size[1], head_dim = in.q.size[2];
  const int64_t group = in.q.size[1] / kv_heads;
  const int64_t queries = group < kRows ? kRows / group : 1;  // of a piece
  const int64_t blocks = (length + queries - 1) / queries;
  const int64_t rows = (length < queries ? length : queries) * group;
  const int64_t work = rows * head_dim * (in.first + length);
  parallel.run(kv_heads * blocks, 1 + (1 << 16) / (work + 1), [&](int64_t begin, int64_t end) {
    Scratch scratch(2 * Scratch::bytes_for(rows * head_dim) + Scratch::bytes_for(rows * kBlock) +
                    3 * Scratch::bytes_for(rows));
    Piece p{};
    p.k_stride = in.k.stride[0];
    p.v_stride = in.v.stride[0];
    p.head_dim = head_dim;
    p.group = group;
    p.window = in.window;
    p.q = scratch.floats(rows * head_dim);
    p.sums = scratch.floats(rows * head_dim);
    p.weights = scratch.floats(rows * kBlock);
    for (float** array : {&p.top, &p.total, &p.decay}) *array = scratch.floats(rows);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t query = i % blocks * queries;
      attend(in, y, i / blocks, query, query + queries < length ? query + queries : length, p);
    }
  });
}

}  // namespace adder::kernels::ADDER_ISA
