// The scattering cascade on a CPU: what cascade.py computes in torch, in loops over vectors.
//
// Layout. A vector V holds one number of each of LANES maps, which are computed side by side: all
// arithmetic is that of one map, and a map does not know its neighbours. Of real maps and spectra,
// element (row, column) is a V, or a C: a vector of real and one of imaginary parts.
//   signals    a lane is a signal of the batch
//   order 1    a lane is a pair (signal, wavelet): the pairs of a stage follow one another
//   order 2    the lanes of order 1, to each of which the same second wavelet is applied
// A real map has a spectrum that is Hermitian, of which rows 0 .. h/2 are kept (a half-plane); the
// others are read there, backwards and conjugate. A 1-D signal is a map one column wide.
//
// Passes. What follows reads like the cascade:
//   fold, fold_signals   spectra times a wavelet, where it is not zero, folded onto the coarse grid
//   filter_maps          that, and inverse FFTs along the rows
//   take_maps            inverse FFT of a column, then, while it is in the cache,
//     rho                modulus or rectifier,
//     take_columns       low-pass along the column, and its FFT, two real ones as one complex
//     finish_map         the same along the rows
//   take_signal          what take_columns and finish_map do, in 1-D
// and StagePass::run puts them together: order 1, then each wavelet of order 2. The gradient takes
// the adjoints of the passes in the opposite order (StagePass::run_adjoint); nothing of a forward
// pass is kept for it.
//
// Numbers are rounded in the same way in all lanes, and with AVX2 as with AVX-512: results are the
// same to the last bit in any batch, and with any number of threads.
//
// Compiled once for each type (REAL) and width of a vector (BYTES); plain C functions at the end.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

#ifndef REAL
#define REAL float
#endif
#ifndef BYTES
#define BYTES 16
#endif
#ifndef SOURCE
#define SOURCE 0
#endif

namespace {

typedef REAL Real;
typedef std::conditional<sizeof(Real) == 4, int32_t, int64_t>::type Int;
typedef Real V __attribute__((vector_size(BYTES)));
typedef Int Index __attribute__((vector_size(BYTES)));
constexpr int LANES = BYTES / sizeof(Real);
constexpr double PI = 3.14159265358979323846;

struct C {
  V r, i;
};

inline C operator+(const C& a, const C& b) { return {a.r + b.r, a.i + b.i}; }
inline C operator-(const C& a, const C& b) { return {a.r - b.r, a.i - b.i}; }
inline C operator*(const C& a, Real f) { return {a.r * f, a.i * f}; }
// times i, or -i in a forward transform
template <bool INVERSE>
inline C turn(const C& a) {
  return INVERSE ? C{-a.i, a.r} : C{a.i, -a.r};
}
// times the unit c + i s, or its conjugate in a forward transform
template <bool INVERSE>
inline C rotate(const C& a, Real c, Real s) {
  if (INVERSE) return {a.r * c - a.i * s, a.i * c + a.r * s};
  return {a.r * c + a.i * s, a.i * c - a.r * s};
}
inline V root(V a) {
  V r;
  for (int l = 0; l < LANES; l++) r[l] = std::sqrt(a[l]);
  return r;
}
inline V load(const Real* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
// v as it is rounded: not fused with a sum, which might depend on the place of a lane
inline V rounded(V v) {
#if defined(__x86_64__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}
inline V choose(V v, Index lane) {
#ifdef __clang__
  V r;
  for (int l = 0; l < LANES; l++) r[l] = v[lane[l]];
  return r;
#else
  return __builtin_shuffle(v, lane);
#endif
}

// ---- Fourier transforms of one length, all lanes at once ------------------------------------

// DFT of R numbers in place: 2, 4, 6 and 8 by halves, odd ones by sums and differences
template <int R, bool INVERSE>
struct Dft {
  static inline void apply(C* a) {
    constexpr int H = R / 2;
    C sum[H], difference[H], zero = a[0], total = a[0];
    for (int j = 0; j < H; j++) {
      sum[j] = a[1 + j] + a[R - 1 - j];
      difference[j] = turn<INVERSE>(a[1 + j] - a[R - 1 - j]);
      total = total + sum[j];
    }
    a[0] = total;
    for (int k = 1; k <= H; k++) {
      C even = zero, odd = {V{}, V{}};
      for (int j = 1; j <= H; j++) {
        even = even + sum[j - 1] * Real(std::cos(2 * PI * (j * k % R) / R));
        odd = odd + difference[j - 1] * Real(std::sin(2 * PI * (j * k % R) / R));
      }
      a[k] = even + odd;
      a[R - k] = even - odd;
    }
  }
};
template <bool INVERSE>
struct Dft<2, INVERSE> {
  static inline void apply(C* a) {
    C t = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = t;
  }
};
template <bool INVERSE>
struct Dft<4, INVERSE> {
  static inline void apply(C* a) {
    C s = a[0] + a[2], d = a[0] - a[2], t = a[1] + a[3], e = turn<INVERSE>(a[1] - a[3]);
    a[0] = s + t;
    a[1] = d + e;
    a[2] = s - t;
    a[3] = d - e;
  }
};
template <bool INVERSE>
struct Dft<6, INVERSE> {
  static inline void apply(C* a) {
    C even[3] = {a[0], a[2], a[4]}, odd[3] = {a[3], a[5], a[1]};
    Dft<3, INVERSE>::apply(even);
    Dft<3, INVERSE>::apply(odd);
    a[0] = even[0] + odd[0];
    a[3] = even[0] - odd[0];
    a[4] = even[1] + odd[1];
    a[1] = even[1] - odd[1];
    a[2] = even[2] + odd[2];
    a[5] = even[2] - odd[2];
  }
};
template <bool INVERSE>
struct Dft<8, INVERSE> {
  static inline void apply(C* a) {
    constexpr Real h = Real(0.70710678118654752440);
    C even[4] = {a[0], a[2], a[4], a[6]}, odd[4] = {a[1], a[3], a[5], a[7]};
    Dft<4, INVERSE>::apply(even);
    Dft<4, INVERSE>::apply(odd);
    odd[1] = (odd[1] + turn<INVERSE>(odd[1])) * h;
    odd[2] = turn<INVERSE>(odd[2]);
    odd[3] = (turn<INVERSE>(odd[3]) - odd[3]) * h;
    for (int k = 0; k < 4; k++) {
      a[k] = even[k] + odd[k];
      a[k + 4] = even[k] - odd[k];
    }
  }
};

constexpr int LARGEST_PRIME = 61;  // sizes with larger ones are left to torch
constexpr int LONGEST = 1024;      // longer transforms are columns, then rows of a matrix

// One pass of a transform by Stockham's scheme: s transforms of length m * radix, interleaved,
// become s * radix of length m. The units that turn their results stand in `unit`.
struct Pass {
  int radix, m, s;
  std::vector<Real> unit;
};

struct Fft {
  int n = 0;
  std::vector<Pass> passes;
  // of a long one: n = n1 * n2, and the units between columns and rows
  const Fft *columns = nullptr, *rows = nullptr;
  std::vector<Real> unit;
};

template <int R, bool INVERSE>
void run_pass(const Pass& pass, const C* x, long xs, C* y, long ys) {
  const long m = pass.m, s = pass.s;
  for (long p = 0; p < m; p++) {
    const Real* w = pass.unit.data() + 2 * (R - 1) * p;
    for (long q = 0; q < s; q++) {
      C a[R];
      for (int k = 0; k < R; k++) a[k] = x[(q + s * (p + m * k)) * xs];
      Dft<R, INVERSE>::apply(a);
      C* to = y + (q + s * R * p) * ys;
      to[0] = a[0];
      if (p == 0)
        for (int k = 1; k < R; k++) to[s * k * ys] = a[k];
      else
        for (int k = 1; k < R; k++)
          to[s * k * ys] = rotate<INVERSE>(a[k], w[2 * k - 2], w[2 * k - 1]);
    }
  }
}

// the same for any odd radix, whose cosines and sines come first in `unit`
template <bool INVERSE>
void run_odd_pass(const Pass& pass, const C* x, long xs, C* y, long ys) {
  const int R = pass.radix, H = R / 2;
  const long m = pass.m, s = pass.s;
  const Real* table = pass.unit.data();
  for (long p = 0; p < m; p++) {
    const Real* w = table + 2 * R + 2 * (R - 1) * p;
    for (long q = 0; q < s; q++) {
      C sum[LARGEST_PRIME / 2], difference[LARGEST_PRIME / 2];
      const C zero = x[(q + s * p) * xs];
      C total = zero;
      for (int j = 1; j <= H; j++) {
        const C &a = x[(q + s * (p + m * j)) * xs], &b = x[(q + s * (p + m * (R - j))) * xs];
        sum[j - 1] = a + b;
        difference[j - 1] = turn<INVERSE>(a - b);
        total = total + sum[j - 1];
      }
      C* to = y + (q + s * R * p) * ys;
      to[0] = total;
      for (int k = 1; k <= H; k++) {
        C even = zero, odd = {V{}, V{}};
        for (int j = 1; j <= H; j++) {
          const int i = j * k % R;
          even = even + sum[j - 1] * table[2 * i];
          odd = odd + difference[j - 1] * table[2 * i + 1];
        }
        to[s * k * ys] = rotate<INVERSE>(even + odd, w[2 * k - 2], w[2 * k - 1]);
        to[s * (R - k) * ys] =
            rotate<INVERSE>(even - odd, w[2 * (R - k) - 2], w[2 * (R - k) - 1]);
      }
    }
  }
}

template <bool INVERSE>
void run(const Pass& pass, const C* x, long xs, C* y, long ys) {
  switch (pass.radix) {
    case 2: return run_pass<2, INVERSE>(pass, x, xs, y, ys);
    case 3: return run_pass<3, INVERSE>(pass, x, xs, y, ys);
    case 4: return run_pass<4, INVERSE>(pass, x, xs, y, ys);
    case 5: return run_pass<5, INVERSE>(pass, x, xs, y, ys);
    case 6: return run_pass<6, INVERSE>(pass, x, xs, y, ys);
    case 7: return run_pass<7, INVERSE>(pass, x, xs, y, ys);
    case 8: return run_pass<8, INVERSE>(pass, x, xs, y, ys);
    default: return run_odd_pass<INVERSE>(pass, x, xs, y, ys);
  }
}

// room for transforms: two buffers of the longest, and one of the longest long one
struct Buffers {
  C *a, *b, *matrix;
};

// x, of step xs, to y, of step ys, which may be x; no factor 1 / n
template <bool INVERSE>
void fft(const Fft& f, const C* x, long xs, C* y, long ys, const Buffers& room) {
  if (f.columns) {
    const long n1 = f.columns->n, n2 = f.rows->n;
    for (long b = 0; b < n2; b++) {
      fft<INVERSE>(*f.columns, x + b * xs, n2 * xs, room.matrix + b, n2, room);
      const Real* w = f.unit.data() + 2 * n1 * b;
      if (b)
        for (long k = 1; k < n1; k++)
          room.matrix[k * n2 + b] =
              rotate<INVERSE>(room.matrix[k * n2 + b], w[2 * k], w[2 * k + 1]);
    }
    for (long k = 0; k < n1; k++)
      fft<INVERSE>(*f.rows, room.matrix + k * n2, 1, y + k * ys, n1 * ys, room);
    return;
  }
  C *to = room.a, *other = room.b;
  for (size_t i = 0; i < f.passes.size(); i++) {
    const bool last = i + 1 == f.passes.size();
    run<INVERSE>(f.passes[i], x, xs, last ? y : to, last ? ys : 1);
    x = to;
    xs = 1;
    std::swap(to, other);
  }
  if (f.passes.empty()) *y = *x;  // one number
}

// radices of a length, the fewest passes; empty if a prime factor is too large
std::vector<int> radices(int n) {
  std::vector<int> r;
  int twos = 0, threes = 0;
  for (; n % 2 == 0; n /= 2) twos++;
  for (; n % 3 == 0; n /= 3) threes++;
  for (int p = 5; n > 1; p += 2)
    for (; n % p == 0; n /= p) r.push_back(p);
  int sixes = 0, fewest = 1 << 20;
  for (int s = 0; s <= std::min(twos, threes); s++) {
    const int passes = threes + (twos - s + 2) / 3;
    if (passes < fewest) fewest = passes, sixes = s;
  }
  twos -= sixes;
  r.insert(r.end(), sixes, 6);
  r.insert(r.end(), threes - sixes, 3);
  for (int left = (twos + 2) / 3; left > 0; left--) {
    const int e = (twos + left - 1) / left;
    r.push_back(1 << e);
    twos -= e;
  }
  std::sort(r.rbegin(), r.rend());
  return r;
}

void unit(std::vector<Real>& to, double turns) {
  to.push_back(Real(std::cos(2 * PI * turns)));
  to.push_back(Real(std::sin(2 * PI * turns)));
}

// ---- What a plan holds -----------------------------------------------------------------------

// A matrix whose rows are mostly zero: of each, the intervals that are not
struct Banded {
  struct Interval {
    int row, begin, end;
    const Real* values;
  };
  int n_rows = 0;
  std::vector<Interval> intervals;

  void cut(const Real* matrix, int rows, int columns, double tolerance) {
    n_rows = rows;
    double largest = 0;
    for (long i = 0; i < (long)rows * columns; i++)
      largest = std::max(largest, (double)std::abs(matrix[i]));
    for (int a = 0; a < rows; a++)
      for (int begin = 0; begin < columns;) {
        const Real* values = matrix + (long)a * columns;
        auto small = [&](int c) { return std::abs(values[c]) <= tolerance * largest; };
        while (begin < columns && small(begin)) begin++;
        int end = begin;
        while (end < columns && !small(end)) end++;
        if (begin < end) intervals.push_back({a, begin, end, values});
        begin = end;
      }
  }
  // products with a vector of step xs, to one of step ys
  void apply(const V* x, long xs, V* y, long ys) const {
    for (int a = 0; a < n_rows; a++) y[a * ys] = V{};
    for (const Interval& interval : intervals) {
      V s[4] = {};
      int c = interval.begin;
      for (; c + 4 <= interval.end; c += 4)
        for (int e = 0; e < 4; e++) s[e] += x[(c + e) * xs] * interval.values[c + e];
      for (; c < interval.end; c++) s[0] += x[c * xs] * interval.values[c];
      y[interval.row * ys] += (s[0] + s[1]) + (s[2] + s[3]);
    }
  }
  // products of the transposed matrix, added
  void add_adjoint(const V* y, long ys, V* x, long xs) const {
    for (const Interval& interval : intervals) {
      const V v = y[interval.row * ys];
      for (int c = interval.begin; c < interval.end; c++) x[c * xs] += v * interval.values[c];
    }
  }
};

// FFTs of n real numbers: n / 2 complex ones where n is even
struct RealFft {
  int n = 0;
  const Fft* fft = nullptr;
  std::vector<Real> unit;
};

// Maps of one step: their FFTs, and how they are averaged
struct Grid {
  int h = 1, w = 1;
  long stride = 1;  // of a row of a spectrum: odd, or else the rows of a column share a cache set
  const Fft *fft_h = nullptr, *fft_w = nullptr;
  int n_out = 0, n_columns = 1;  // coefficients of a map, and how many of them lie in a row
  Banded rows, columns;
  RealFft real;  // of a signal
  // 1-D, a low-pass in the Fourier domain: n values in a period, of which n_out from `first` on
  int first = 0, n_phi = 0;
  const Real* phi = nullptr;
  RealFft low;

  int half() const { return h / 2 + 1; }
};

// Part of a row of a spectrum where a filter is not zero: n numbers from `source` on, which are
// added to those of a row of the coarse grid from `target` on. What lies beyond the half-plane is
// read backwards in it, and conjugate.
struct Strip {
  long source;
  int target, n;
  bool mirrored;
  const Real* values;  // (n, p)
};

// One wavelet, or the p wavelets of a stage side by side: what each row of the coarse grid is the
// sum of. All of a signal counts as one row.
struct Filters {
  std::vector<std::vector<Strip>> rows;
  int p = 1;

  // one row of a spectrum of height x width, cut where it crosses the half-plane or column 0
  void add(const Grid& from, bool signal, int top, int left, int row, int n, const Real* values) {
    auto zero = [&](int c) {
      return std::all_of(values + (long)c * p, values + (long)(c + 1) * p,
                         [](Real v) { return v == 0; });
    };
    int begin = 0, end = n;
    while (begin < end && zero(begin)) begin++;
    while (begin < end && zero(end - 1)) end--;
    for (int next; begin < end; begin = next) {
      const int r = signal ? top + row + begin : top + row, c = signal ? 0 : left + begin;
      const bool mirrored = r > from.h / 2;
      next = signal && !mirrored ? std::min(end, begin + from.half() - r) : end;
      if (!signal && mirrored && c == 0) next = begin + 1;
      const long source = (mirrored ? from.h - r : r) * from.stride +
                          (mirrored && c ? from.w - c : c);
      rows[signal ? 0 : row].push_back({source, signal ? row + begin : begin, next - begin,
                                        mirrored, values + (long)begin * p});
    }
  }
};

struct Second {
  const Filters* filters;
  int k;
  long offset;  // of its coefficients among those that follow one map of order 1
};

struct Stage {
  const Filters* filters;
  int k;
  long offset, offset_2, size_2;  // of the coefficients of order 1 and 2; of order 2 of one map
  std::vector<Second> following;
};

struct Plan {
  const int ndim, height, width, n_phases;    // of a signal; 0 phases: the modulus
  const int *const row_index, *const column_index;  // samples that extend it, -1 for zero
  Plan(int ndim, int height, int width, int n_phases, const int* rows, const int* columns)
      : ndim(ndim), height(height), width(width), n_phases(n_phases), row_index(rows),
        column_index(columns) {
    for (int a = 0; a < n_phases; a++) {
      cosines.push_back(Real(std::cos(2 * PI * a / n_phases)));
      sines.push_back(Real(std::sin(2 * PI * a / n_phases)));
    }
  }
  std::map<int, Grid> grids;
  std::vector<Stage> stages;
  std::vector<Filters*> filters;
  std::map<int, Fft*> ffts;
  std::vector<Real> cosines, sines;

  int n_maps() const { return std::max(1, n_phases); }

  const Fft* transform(int n) {
    if (ffts.count(n)) return ffts[n];
    Fft* f = ffts[n] = new Fft;
    f->n = n;
    if (n > LONGEST) {
      int n1 = 1;  // the largest divisor up to the root, both parts short
      for (int d = 1; (long)d * d <= n; d++)
        if (n % d == 0) n1 = d;
      if (n / n1 <= LONGEST) {
        f->columns = transform(n1);
        f->rows = transform(n / n1);
        for (long b = 0; b < n / n1; b++)
          for (long k = 0; k < n1; k++) unit(f->unit, (double)(b * k) / n);
        return f;
      }
    }
    int m = n, s = 1;
    for (int R : radices(n)) {
      Pass pass{R, m / R, s, {}};
      if (R > 8)
        for (int j = 0; j < R; j++) unit(pass.unit, (double)j / R);
      for (int p = 0; p < m / R; p++)
        for (int k = 1; k < R; k++) unit(pass.unit, (double)p * k / m);
      f->passes.push_back(pass);
      m /= R;
      s *= R;
    }
    return f;
  }
  void real_transform(int n, RealFft& f) {
    f.n = n;
    f.fft = transform(n % 2 ? n : n / 2);
    for (int r = 0; r <= n / 2; r++) unit(f.unit, (double)r / n);
  }
  ~Plan() {
    for (auto* f : filters) delete f;
    for (auto& f : ffts) delete f.second;
  }
};

// ---- Memory of a thread ----------------------------------------------------------------------

// One block of memory, cut into arrays; one that is not large is kept for the next call
struct Arena {
  char* block = nullptr;
  size_t size = 0, used = 0;
  ~Arena() { std::free(block); }
  bool reserve(size_t n) {
    used = 0;
    if (n <= size) return true;
    std::free(block);
    const size_t page = size_t(1) << 21;
    size = (n + page - 1) / page * page;
    block = static_cast<char*>(std::aligned_alloc(page, size));
    if (!block) size = 0;
#ifdef __linux__
    if (block) madvise(block, size, MADV_HUGEPAGE);
#endif
    return block;
  }
  template <class T>
  T* take(size_t n) {
    T* p = reinterpret_cast<T*>(block + used);
    used += (n * sizeof(T) + 127) / 128 * 128;
    return p;
  }
};

constexpr size_t MOST_KEPT = size_t(1) << 26;  // bytes of a block that outlives a call

std::mutex arenas_lock;
std::vector<Arena*> arenas;

Arena* borrow() {
  std::lock_guard<std::mutex> guard(arenas_lock);
  if (arenas.empty()) return new Arena;
  Arena* arena = arenas.back();
  arenas.pop_back();
  return arena;
}
void give_back(Arena* arena) {
  if (arena->size > MOST_KEPT) {
    delete arena;
    return;
  }
  std::lock_guard<std::mutex> guard(arenas_lock);
  arenas.push_back(arena);
}

struct Work {
  Buffers room;
  C *y, *line, *maps;             // coarse spectra; a column; columns of real maps
  C *spectrum, *scratch;          // spectra of real maps; of one that is not kept
  C* low_hat;                     // low frequencies of a signal
  V *low, *average;               // averages along columns; coefficients
  // of gradients: spectra of order 1, their gradients, a column; spectra of signals, their gradients
  C *first, *gradient, *sum;
  Real *signals, *signals_gradient;
  long plane;                     // of the spectrum of one map

  // sizes of all arrays, and the arrays where there is a block; of gradients of some signals
  static size_t layout(const Plan& plan, long adjoint, Arena* arena, Work* work) {
    size_t side = 1, room = 1, matrix = 1, grid = 1, plane = 1, low = 1, average = 1, n = 1, odd = 1;
    for (const auto& item : plan.grids) {
      const Grid& g = item.second;
      side = std::max<size_t>(side, g.h);
      grid = std::max<size_t>(grid, g.h * g.stride);
      plane = std::max<size_t>(plane, g.half() * g.stride);
      low = std::max<size_t>(low, (size_t)g.n_out * g.w);
      average = std::max<size_t>(average, (size_t)g.n_out * g.n_columns);
      side = std::max<size_t>(side, g.w);
      n = std::max<size_t>(n, g.low.n);
      for (int length : {g.real.n, g.low.n})
        if (length % 2) odd = std::max<size_t>(odd, length);
    }
    for (const auto& item : plan.ffts) {
      size_t& longest = item.second->columns ? matrix : room;
      longest = std::max<size_t>(longest, item.first);
    }
    const size_t maps = plan.n_maps();
    Arena measure, *a = arena ? arena : &measure;
    Work w;
    w.room = {a->take<C>(room), a->take<C>(room), a->take<C>(matrix)};
    w.y = a->take<C>(grid);
    w.line = a->take<C>(plan.ndim == 1 ? odd : side);
    w.low_hat = a->take<C>(2 * n + 2);
    w.maps = a->take<C>(plan.ndim == 1 ? side / 2 + 1 : maps * side);
    w.spectrum = a->take<C>(maps * plane);
    w.scratch = a->take<C>(plan.ndim == 1 ? plane : 1);
    w.low = a->take<V>(maps * low);
    w.average = a->take<V>(average);
    w.first = a->take<C>(adjoint ? grid : 1);
    w.gradient = a->take<C>(adjoint ? maps * plane : 1);
    w.sum = a->take<C>(adjoint ? side : 1);
    w.signals = a->take<Real>(2 * plane * adjoint);
    w.signals_gradient = a->take<Real>(4 * plane * adjoint);
    w.plane = plane;
    if (work) *work = w;
    return a->used;
  }
};

// Arrays of each thread, of gradients of some signals, and n numbers that they share: given back
// at the end
struct Memory {
  Real* shared;
  std::vector<Arena*> mine;
  std::vector<Work> works;
  bool enough;

  Memory(const Plan& plan, int threads, long adjoint, size_t n) : works(std::max(1, threads)) {
    const size_t need = Work::layout(plan, adjoint, nullptr, nullptr);
    mine.push_back(borrow());
    enough = mine[0]->reserve(n * sizeof(Real));
    shared = mine[0]->take<Real>(n);
    for (Work& work : works) {
      mine.push_back(borrow());
      enough = enough && mine.back()->reserve(need);
      if (enough) Work::layout(plan, adjoint, mine.back(), &work);
    }
  }
  ~Memory() {
    for (Arena* arena : mine) give_back(arena);
  }
};

// ---- Passes ----------------------------------------------------------------------------------

// spectra of real maps, packed as one of a complex map in `f`, of length h: rows 0 .. h/2 of both
inline void separate(const C* f, int h, C* a, C* b, long stride) {
  const Real half = Real(0.5);
  for (int r = 0; r <= h / 2; r++) {
    const C &p = f[r], &q = f[r ? h - r : 0];
    a[r * stride] = {(p.r + q.r) * half, (p.i - q.i) * half};
    if (b) b[r * stride] = {(p.i + q.i) * half, (q.r - p.r) * half};
  }
}

// spectrum of n real numbers, rows 0 .. n/2
void forward_real(const RealFft& f, const V* u, C* s, Work& work) {
  if (f.n % 2) {
    for (int r = 0; r < f.n; r++) work.line[r] = {u[r], V{}};
    fft<false>(*f.fft, work.line, 1, work.line, 1, work.room);
    std::copy(work.line, work.line + f.n / 2 + 1, s);
    return;
  }
  const int n = f.n / 2;  // two numbers are packed as one
  fft<false>(*f.fft, reinterpret_cast<const C*>(u), 1, s, 1, work.room);
  s[n] = s[0];
  const Real half = Real(0.5);
  for (int k = 0; k <= n - k; k++) {
    const C p = s[k] * half, q = s[n - k] * half;
    const C even = {p.r + q.r, p.i - q.i};
    const C odd = rotate<false>({p.i + q.i, q.r - p.r}, f.unit[2 * k], f.unit[2 * k + 1]);
    s[k] = even + odd;
    s[n - k] = {even.r - odd.r, odd.i - even.i};
  }
}

// the n real numbers of a spectrum, whose place they take; no factor 1 / n
const V* inverse_real(const RealFft& f, C* s, Work& work) {
  V* u = reinterpret_cast<V*>(s);
  const int n = f.n / 2;
  s[0].i = V{};
  if (f.n % 2) {
    for (int k = 0; k <= n; k++) work.line[k] = s[k];
    for (int k = 1; k <= n; k++) work.line[f.n - k] = {s[k].r, -s[k].i};
    fft<true>(*f.fft, work.line, 1, work.line, 1, work.room);
    for (int r = 0; r < f.n; r++) u[r] = work.line[r].r;
    return u;
  }
  s[n].i = V{};
  for (int k = 0; k <= n - k; k++) {
    const C p = s[k], q = s[n - k];
    const C even = {p.r + q.r, p.i - q.i};
    const C odd = rotate<true>({p.r - q.r, p.i + q.i}, f.unit[2 * k], f.unit[2 * k + 1]);
    s[k] = {even.r - odd.i, even.i + odd.r};
    s[n - k] = {even.r + odd.i, odd.r - even.i};
  }
  fft<true>(*f.fft, s, 1, s, 1, work.room);
  return u;
}

// averages of a signal: its spectrum times the low-pass, cut to the n values of a period
void average_spectrum(const Grid& g, const C* spectrum, V* average, Work& work) {
  C* s = work.low_hat;
  for (int k = 0; k < g.n_phi; k++) s[k] = spectrum[k] * g.phi[k];
  const V* values = inverse_real(g.low, s, work);
  std::copy(values + g.first, values + g.first + g.n_out, average);
}

// one real map of a signal: its average, and its spectrum if that is needed
void take_signal(const Grid& g, const V* u, bool further, C* spectrum, Work& work) {
  if (further || g.phi) forward_real(g.real, u, spectrum, work);
  if (g.phi)
    average_spectrum(g, spectrum, work.average, work);
  else
    g.rows.apply(u, 1, work.average, 1);
}

// columns c and c + 1 of a real map, packed as one of complex numbers
void take_columns(const Grid& g, const C* pair, int c, bool further, C* spectrum, V* low,
                  Work& work) {
  const V* u = reinterpret_cast<const V*>(pair);
  const bool two = c + 1 < g.w;
  g.rows.apply(u, 2, low + c, g.w);
  if (two) g.rows.apply(u + 1, 2, low + c + 1, g.w);
  if (!further) return;
  fft<false>(*g.fft_h, pair, 1, work.line, 1, work.room);
  separate(work.line, g.h, spectrum + c, two ? spectrum + c + 1 : nullptr, g.stride);
}

// the rest of its average and of its spectrum, once all columns are there
void finish_map(const Grid& g, bool further, C* spectrum, const V* low, Work& work) {
  for (int a = 0; a < g.n_out; a++)
    g.columns.apply(low + (long)a * g.w, 1, work.average + (long)a * g.n_columns, 1);
  for (int r = 0; further && r < g.half(); r++)
    fft<false>(*g.fft_w, spectrum + r * g.stride, 1, spectrum + r * g.stride, 1, work.room);
}

// rho(z) of a column at a phase, every `step`-th number from u on
void rho(const Plan& plan, const C* z, int h, int phase, V* u, long step) {
  if (!plan.n_phases) {
    for (int r = 0; r < h; r++) u[r * step] = root(z[r].r * z[r].r + z[r].i * z[r].i);
    return;
  }
  const Real c = plan.cosines[phase], s = plan.sines[phase];
  for (int r = 0; r < h; r++) {
    const V v = z[r].r * c - z[r].i * s;
    u[r * step] = v < 0 ? V{} : v;
  }
}

// A row of spectra of maps times one wavelet, folded
void fold(const std::vector<Strip>& strips, const C* spectrum, C* y, int width) {
  std::fill(y, y + width, C{V{}, V{}});
  for (const Strip& strip : strips) {
    const C* x = spectrum + strip.source;
    const Real* psi = strip.values;
    C* to = y + strip.target;
    if (!strip.mirrored)
      for (int j = 0; j < strip.n; j++) {
        to[j].r += x[j].r * psi[j];
        to[j].i += x[j].i * psi[j];
      }
    else
      for (int j = 0; j < strip.n; j++) {
        to[j].r += x[-j].r * psi[j];
        to[j].i -= x[-j].i * psi[j];
      }
  }
}

// The lanes of order 1: pairs (signal, wavelet) from number `first` on, the last ones repeated
struct Pairs {
  int signals[LANES], wavelets[LANES], n;
  Index wavelet;
  int n_signals, signal[LANES];
  Index mask[LANES];

  Pairs(long first, long end, int p) : n((int)std::min<long>(LANES, end - first)), n_signals(0) {
    for (int l = 0; l < LANES; l++) {
      const long pair = std::min(first + l, end - 1);
      signals[l] = (int)(pair / p);
      wavelet[l] = wavelets[l] = (int)(pair % p);
      if (!n_signals || signal[n_signals - 1] != signals[l]) {
        mask[n_signals] = Index{};
        signal[n_signals++] = signals[l];
      }
      mask[n_signals - 1][l] = -1;
    }
  }
};

// A row of spectra of N signals (any number for 0) times the wavelets of a stage, folded; of a
// signal, the real and the imaginary part of each number follow one another
template <int N>
void fold_signals(const Filters& f, const std::vector<Strip>& strips, const Pairs& pairs,
                  const Real* const* spectra, C* y, int width) {
  const int n_signals = N ? N : pairs.n_signals;
  std::fill(y, y + width, C{V{}, V{}});
  for (const Strip& strip : strips) {
    const long step = strip.mirrored ? -2 : 2;
    long at = 2 * strip.source;
    C* to = y + strip.target;
    for (int j = 0; j < strip.n; j++, at += step) {
      C v = {V{} + spectra[0][at], V{} + spectra[0][at + 1]};
      for (int s = 1; s < n_signals; s++) {
        v.r = pairs.mask[s] ? V{} + spectra[s][at] : v.r;
        v.i = pairs.mask[s] ? V{} + spectra[s][at + 1] : v.i;
      }
      const V psi = choose(load(strip.values + (long)j * f.p), pairs.wavelet);
      to[j].r += v.r * psi;
      to[j].i += v.i * (strip.mirrored ? -psi : psi);
    }
  }
}

// Maps filtered by wavelets, fold(strips, y, width) being a row of their spectra: 1-D the maps
// themselves, 2-D with columns that are still spectra
template <class Fold>
void filter_maps(const Plan& plan, const Grid& g, const Filters& f, C* y, Work& work, Fold fold) {
  if (plan.ndim == 1) {
    fold(f.rows[0], y, g.h);
    fft<true>(*g.fft_h, y, 1, y, 1, work.room);
    return;
  }
  for (int r = 0; r < g.h; r++) {
    C* row = y + r * g.stride;
    if (f.rows[r].empty()) {
      std::fill(row, row + g.w, C{V{}, V{}});
      continue;
    }
    fold(f.rows[r], work.line, g.w);
    fft<true>(*g.fft_w, work.line, 1, row, 1, work.room);
  }
}

// What filter_maps has made -> averages and spectra of the real maps, one for each phase; emit(a)
// is called when the averages of phase a are in work.average
template <class Emit>
void take_maps(const Plan& plan, const Grid& g, const C* y, bool further, Work& work, Emit emit) {
  const int maps = plan.n_maps();
  if (plan.ndim == 1) {
    V* u = reinterpret_cast<V*>(work.maps);
    for (int a = 0; a < maps; a++) {
      C* spectrum = further ? work.spectrum + a * work.plane : work.scratch;
      rho(plan, y, g.h, a, u, 1);
      take_signal(g, u, further, spectrum, work);
      emit(a);
    }
    return;
  }
  const long column = g.h, n_low = (long)g.n_out * g.w;
  for (int c = 0; c < g.w; c += 2) {
    for (int e = 0; e < 2 && c + e < g.w; e++) {
      fft<true>(*g.fft_h, y + c + e, g.stride, work.line, 1, work.room);
      for (int a = 0; a < maps; a++)
        rho(plan, work.line, g.h, a, reinterpret_cast<V*>(work.maps + a * column) + e, 2);
    }
    if (c + 1 == g.w)  // the last column has no neighbour
      for (long r = 0; r < maps * column; r++) work.maps[r].i = V{};
    for (int a = 0; a < maps; a++)
      take_columns(g, work.maps + a * column, c, further, work.spectrum + a * work.plane,
                   work.low + a * n_low, work);
  }
  for (int a = 0; a < maps; a++) {
    finish_map(g, further, work.spectrum + a * work.plane, work.low + a * n_low, work);
    emit(a);
  }
}

// ---- Adjoints of the passes, from the last to the first ----------------------------------------
// The gradient by a complex number z is that by its real part, plus i that by its imaginary part.
// Gradients by spectra of real maps are kept on the half-plane: that of a frequency beyond it is
// added, conjugate, to that of the opposite one.

// half-planes of the spectra of two real maps -> spectrum of one complex map, whose real and
// imaginary part they are: columns of length h
inline void unite(const C* a, const C* b, long stride, int h, C* f) {
  const Real half = Real(0.5);
  for (int r = 0; r <= h / 2; r++) {
    C p = a[r * stride], q = b ? b[r * stride] : C{V{}, V{}};
    if (r == 0 || 2 * r == h) {
      f[r] = {p.r, q.r};
      continue;
    }
    p = p * half;
    q = q * half;
    f[r] = {p.r - q.i, p.i + q.r};
    f[h - r] = {p.r + q.i, q.r - p.i};
  }
}

// gradient by a signal, from those by its averages and by its spectrum (null for none)
const V* take_signal_adjoint(const Grid& g, const V* s, C* spectrum, Work& work) {
  C* u_hat = spectrum ? spectrum : work.scratch;
  if (!spectrum) std::fill(u_hat, u_hat + g.half(), C{V{}, V{}});
  if (g.phi) {
    V* padded = reinterpret_cast<V*>(work.low_hat);
    C* s_hat = work.low_hat + g.low.n / 2 + 1;
    std::fill(padded, padded + g.low.n, V{});
    std::copy(s, s + g.n_out, padded + g.first);
    forward_real(g.low, padded, s_hat, work);
    for (int k = 0; k < g.n_phi; k++) {
      const bool once = k == 0 || 2 * k == g.low.n;  // else it stands for both its signs
      const C v = s_hat[k] * (once ? g.phi[k] : 2 * g.phi[k]);
      u_hat[k].r += v.r;
      if (!once) u_hat[k].i += v.i;
    }
  }
  V* u = reinterpret_cast<V*>(u_hat);
  if (spectrum || g.phi) {
    for (int k = 1; 2 * k < g.h; k++) u_hat[k] = u_hat[k] * Real(0.5);
    inverse_real(g.real, u_hat, work);
  }
  if (!g.phi) g.rows.add_adjoint(s, 1, u, 1);
  return u;
}

// gradient by a real map whose averages have the gradient in work.average, first part
void finish_map_adjoint(const Grid& g, C* spectrum, V* low, Work& work) {
  std::fill(low, low + (long)g.n_out * g.w, V{});
  for (int a = 0; a < g.n_out; a++)
    g.columns.add_adjoint(work.average + (long)a * g.n_columns, 1, low + (long)a * g.w, 1);
  for (int r = 0; spectrum && r < g.half(); r++)
    fft<true>(*g.fft_w, spectrum + r * g.stride, 1, spectrum + r * g.stride, 1, work.room);
}

// the same, columns c and c + 1, packed as one of complex numbers
void take_columns_adjoint(const Grid& g, C* pair, int c, const C* spectrum, const V* low,
                          Work& work) {
  const bool two = c + 1 < g.w;
  if (spectrum) {
    unite(spectrum + c, two ? spectrum + c + 1 : nullptr, g.stride, g.h, pair);
    fft<true>(*g.fft_h, pair, 1, pair, 1, work.room);
  } else {
    std::fill(pair, pair + g.h, C{V{}, V{}});
  }
  V* u = reinterpret_cast<V*>(pair);
  g.rows.add_adjoint(low + c, g.w, u, 2);
  if (two) g.rows.add_adjoint(low + c + 1, g.w, u + 1, 2);
}

// gradient by z, from that by rho(z) at a phase, every step-th number from u on; phases add up
void rho_adjoint(const Plan& plan, const C* z, int h, int phase, const V* u, long step, C* sum) {
  if (!plan.n_phases) {
    const Real least = std::sqrt(std::numeric_limits<Real>::min());
    for (int r = 0; r < h; r++) {
      V modulus = root(z[r].r * z[r].r + z[r].i * z[r].i);
      modulus = modulus < least ? V{} + least : modulus;
      const V scale = u[r * step] / modulus;
      sum[r] = {z[r].r * scale, z[r].i * scale};
    }
    return;
  }
  if (phase == 0) std::fill(sum, sum + h, C{V{}, V{}});
  const Real c = plan.cosines[phase], s = plan.sines[phase];
  for (int r = 0; r < h; r++) {
    const V v = z[r].r * c - z[r].i * s > 0 ? u[r * step] : V{};
    sum[r].r += v * c;
    sum[r].i -= v * s;
  }
}

// What filter_maps has made of y -> in its place, the gradient by the spectra that it was made of.
// fetch(a) brings the gradient by the averages of phase a; `spectra` are those by the spectra of
// the real maps, null for none.
template <class Fetch>
void take_maps_adjoint(const Plan& plan, const Grid& g, const Filters& f, C* y, C* spectra,
                       Work& work, Fetch fetch) {
  const int maps = plan.n_maps();
  if (plan.ndim == 1) {
    for (int a = 0; a < maps; a++) {
      fetch(a);
      C* spectrum = spectra ? spectra + a * work.plane : nullptr;
      const V* u = take_signal_adjoint(g, work.average, spectrum, work);
      rho_adjoint(plan, y, g.h, a, u, 1, work.sum);
    }
    fft<false>(*g.fft_h, work.sum, 1, y, 1, work.room);
    return;
  }
  const long column = g.h, n_low = (long)g.n_out * g.w;
  for (int a = 0; a < maps; a++) {
    fetch(a);
    finish_map_adjoint(g, spectra ? spectra + a * work.plane : nullptr, work.low + a * n_low,
                       work);
  }
  for (int c = 0; c < g.w; c += 2) {
    for (int a = 0; a < maps; a++)
      take_columns_adjoint(g, work.maps + a * column, c,
                           spectra ? spectra + a * work.plane : nullptr, work.low + a * n_low,
                           work);
    for (int e = 0; e < 2 && c + e < g.w; e++) {
      fft<true>(*g.fft_h, y + c + e, g.stride, work.line, 1, work.room);
      for (int a = 0; a < maps; a++)
        rho_adjoint(plan, work.line, g.h, a, reinterpret_cast<V*>(work.maps + a * column) + e, 2,
                    work.sum);
      fft<false>(*g.fft_h, work.sum, 1, y + c + e, g.stride, work.room);
    }
  }
  for (int r = 0; r < g.h; r++)
    if (!f.rows[r].empty())
      fft<false>(*g.fft_w, y + r * g.stride, 1, y + r * g.stride, 1, work.room);
}

// adjoint of fold, added
void unfold(const std::vector<Strip>& strips, const C* y, C* spectrum) {
  for (const Strip& strip : strips) {
    C* x = spectrum + strip.source;
    const Real* psi = strip.values;
    const C* from = y + strip.target;
    if (!strip.mirrored)
      for (int j = 0; j < strip.n; j++) {
        x[j].r += from[j].r * psi[j];
        x[j].i += from[j].i * psi[j];
      }
    else
      for (int j = 0; j < strip.n; j++) {
        x[-j].r += from[j].r * psi[j];
        x[-j].i -= from[j].i * psi[j];
      }
  }
}

// adjoint of fold_signals, added: wavelet after wavelet, whatever vectors they are in, since what
// is mirrored has a plane of its own
void unfold_signals(const Filters& f, const std::vector<Strip>& strips, const Pairs& pairs,
                    const C* y, Real* const* spectra, long plane) {
  for (const Strip& strip : strips) {
    const long step = strip.mirrored ? -2 : 2;
    long at = 2 * strip.source + (strip.mirrored ? 2 * plane : 0);
    for (int j = 0; j < strip.n; j++, at += step) {
      const V psi = choose(load(strip.values + (long)j * f.p), pairs.wavelet);
      const C& v = y[strip.target + j];
      const V real = rounded(v.r * psi);
      const V imaginary = rounded(v.i * (strip.mirrored ? -psi : psi));
      for (int l = 0; l < pairs.n; l++) {
        spectra[l][at] += real[l];
        spectra[l][at + 1] += imaginary[l];
      }
    }
  }
}

// ---- The cascade -----------------------------------------------------------------------------

// Power of two next to the largest magnitude of a signal, by which it is divided, and its
// coefficients are multiplied: squares then neither overflow nor vanish
inline Real scale_of(const Real* x, long n) {
  Real largest = 0;
  for (long i = 0; i < n; i++) {
    const Real magnitude = std::abs(x[i]);
    if (!(magnitude <= largest)) largest = magnitude;
    if (magnitude != magnitude) return 1;
  }
  if (largest == 0) return 1;
  if (std::isinf(largest)) return std::numeric_limits<Real>::quiet_NaN();
  int exponent;
  std::frexp(largest, &exponent);
  const Real tiny = std::numeric_limits<Real>::min();
  return std::min(std::max(std::ldexp(Real(1), exponent - 1), tiny), 1 / tiny);
}

// averages of lanes to their places in the results, which are not negative beyond order 0
inline void store(const V* average, int lane, int n, Real* to, bool signless, Real scale) {
  for (int a = 0; a < n; a++) {
    const Real s = average[a][lane];
    to[a] = scale * (signless && s < 0 ? 0 : s);
  }
}

// Gradients by averages from their places, 0 where the coefficient s has been made 0 (null: nowhere)
inline void bring(const Real* from, const Real* s, int lane, int n, V* average) {
  for (int a = 0; a < n; a++) average[a][lane] = !s || s[a] > 0 ? from[a] : 0;
}

// lane l of a map of n signals -> their samples that row r and column c of the extension repeat
inline long sample(const Plan& plan, int r, int c) {
  const int row = plan.row_index[r], column = plan.column_index[c];
  return row < 0 || column < 0 ? -1 : (long)row * plan.width + column;
}

// Averages and spectra of n <= LANES signals, (n, height, width), divided by their scales; emit()
// takes the averages
template <class Emit>
void take_inputs(const Plan& plan, const Real* x, long n, Real* spectra, Real* scales, Work& work,
                 Emit emit) {
  const Grid& g = plan.grids.at(0);
  const long size = (long)plan.height * plan.width;
  const bool further = !plan.stages.empty();
  V inverse = {};
  for (long l = 0; l < n; l++) {
    scales[l] = scale_of(x + l * size, size);
    inverse[l] = 1 / scales[l];
  }
  auto read = [&](int r, int c, V* to) {
    const long i = sample(plan, r, c);
    V v = {};
    for (long l = 0; i >= 0 && l < n; l++) v[l] = x[l * size + i];
    *to = v * inverse;
  };
  V* u = reinterpret_cast<V*>(work.maps);
  if (plan.ndim == 1) {
    for (int r = 0; r < g.h; r++) read(r, 0, u + r);
    take_signal(g, u, further, work.spectrum, work);
  } else {
    for (int c = 0; c < g.w; c += 2) {
      for (int e = 0; e < 2; e++)
        for (int r = 0; r < g.h; r++)
          if (c + e < g.w) read(r, c + e, u + 2 * r + e);
          else u[2 * r + e] = V{};
      take_columns(g, work.maps, c, further, work.spectrum, work.low, work);
    }
    finish_map(g, further, work.spectrum, work.low, work);
  }
  emit();
  const long plane = further ? g.half() * g.stride : 0;
  for (long l = 0; l < n; l++, spectra += 2 * plane)
    for (long i = 0; i < plane; i++) {
      spectra[2 * i] = work.spectrum[i].r[l];
      spectra[2 * i + 1] = work.spectrum[i].i[l];
    }
}

// Gradients by n <= LANES signals, from those by their averages (work.average) and spectra
void take_inputs_adjoint(const Plan& plan, const Real* spectra, long n, Real* x, Work& work) {
  const Grid& g = plan.grids.at(0);
  const long size = (long)plan.height * plan.width, plane = g.half() * g.stride;
  C* spectrum = plan.stages.empty() ? nullptr : work.spectrum;
  for (long l = 0; spectrum && l < n; l++, spectra += 4 * plane)
    for (long i = 0; i < plane; i++) {
      spectrum[i].r[l] = spectra[2 * i] + spectra[2 * (plane + i)];
      spectrum[i].i[l] = spectra[2 * i + 1] + spectra[2 * (plane + i) + 1];
    }
  std::fill(x, x + n * size, Real(0));
  auto add = [&](int r, int c, const V& v) {
    const long i = sample(plan, r, c);
    for (long l = 0; i >= 0 && l < n; l++) x[l * size + i] += v[l];
  };
  if (plan.ndim == 1) {
    const V* u = take_signal_adjoint(g, work.average, spectrum, work);
    for (int r = 0; r < g.h; r++) add(r, 0, u[r]);
    return;
  }
  finish_map_adjoint(g, spectrum, work.low, work);
  for (int c = 0; c < g.w; c += 2) {
    take_columns_adjoint(g, work.maps, c, spectrum, work.low, work);
    for (int e = 0; e < 2 && c + e < g.w; e++)
      for (int r = 0; r < g.h; r++) add(r, c + e, e ? work.maps[r].i : work.maps[r].r);
  }
}

// Orders 1 and 2 of LANES pairs of signals and wavelets of a stage
struct StagePass {
  const Plan& plan;
  const Stage& stage;
  const Grid& g;
  Pairs pairs;
  int maps, size;
  const Real* spectra[LANES];

  StagePass(const Plan& plan, const Stage& stage, long n, long first, const Real* signals)
      : plan(plan), stage(stage), g(plan.grids.at(stage.k)),
        pairs(first, n * stage.filters->p, stage.filters->p), maps(plan.n_maps()),
        size(g.n_out * g.n_columns) {
    const Grid& finest = plan.grids.at(0);
    for (int s = 0; s < pairs.n_signals; s++)
      spectra[s] = signals + 2 * pairs.signal[s] * finest.half() * finest.stride;
  }
  // place of the coefficients of a lane, of phase a, in those of all signals
  long first_place(int l, int a, long n_out) const {
    return pairs.signals[l] * n_out + stage.offset + ((long)pairs.wavelets[l] * maps + a) * size;
  }
  long second_place(int l, int a1, const Second& second, int a, long n_out) const {
    const Grid& g2 = plan.grids.at(second.k);
    return pairs.signals[l] * n_out + stage.offset_2 +
           ((long)pairs.wavelets[l] * maps + a1) * stage.size_2 + second.offset +
           (long)a * g2.n_out * g2.n_columns;
  }
  void filter_first(C* y, Work& work) const {
    filter_maps(plan, g, *stage.filters, y, work,
                [&](const std::vector<Strip>& strips, C* row, int width) {
                  auto f = pairs.n_signals == 1   ? fold_signals<1>
                           : pairs.n_signals == 2 ? fold_signals<2>
                                                  : fold_signals<0>;
                  f(*stage.filters, strips, pairs, spectra, row, width);
                });
  }
  void filter_second(const Second& second, int a1, Work& work) const {
    filter_maps(plan, plan.grids.at(second.k), *second.filters, work.y, work,
                [&](const std::vector<Strip>& strips, C* row, int width) {
                  fold(strips, work.spectrum + a1 * work.plane, row, width);
                });
  }

  void run(const Real* scales, Real* out, long n_out, Work& work) const {
    const bool further = !stage.following.empty();
    filter_first(work.y, work);
    take_maps(plan, g, work.y, further, work, [&](int a) {
      for (int l = 0; l < pairs.n; l++)
        store(work.average, l, size, out + first_place(l, a, n_out), true,
              scales[pairs.signals[l]]);
    });
    for (int a1 = 0; a1 < maps; a1++)
      for (const Second& second : stage.following) {
        const Grid& g2 = plan.grids.at(second.k);
        filter_second(second, a1, work);
        take_maps(plan, g2, work.y, false, work, [&](int a) {
          for (int l = 0; l < pairs.n; l++)
            store(work.average, l, g2.n_out * g2.n_columns,
                  out + second_place(l, a1, second, a, n_out), true, scales[pairs.signals[l]]);
        });
      }
  }

  // gradients by the spectra of the signals, added, from those, u, by the coefficients s
  void run_adjoint(const Real* s, const Real* u, long n_out, Real* gradient, Work& work) const {
    const bool further = !stage.following.empty();
    filter_first(work.first, work);
    if (further) {
      take_maps(plan, g, work.first, true, work, [](int) {});
      std::fill(work.gradient, work.gradient + maps * work.plane, C{V{}, V{}});
    }
    for (int a1 = 0; a1 < maps; a1++)
      for (const Second& second : stage.following) {
        const Grid& g2 = plan.grids.at(second.k);
        const int size_2 = g2.n_out * g2.n_columns;
        filter_second(second, a1, work);
        take_maps_adjoint(plan, g2, *second.filters, work.y, nullptr, work, [&](int a) {
          std::fill(work.average, work.average + size_2, V{});
          for (int l = 0; l < pairs.n; l++) {
            const long place = second_place(l, a1, second, a, n_out);
            bring(u + place, s + place, l, size_2, work.average);
          }
        });
        for (size_t r = 0; r < second.filters->rows.size(); r++)
          unfold(second.filters->rows[r], work.y + r * g2.stride,
                 work.gradient + a1 * work.plane);
      }
    take_maps_adjoint(plan, g, *stage.filters, work.first, further ? work.gradient : nullptr,
                      work, [&](int a) {
                        std::fill(work.average, work.average + size, V{});
                        for (int l = 0; l < pairs.n; l++) {
                          const long place = first_place(l, a, n_out);
                          bring(u + place, s + place, l, size, work.average);
                        }
                      });
    const Grid& finest = plan.grids.at(0);
    const long plane = finest.half() * finest.stride;
    Real* to[LANES];
    for (int l = 0; l < pairs.n; l++) to[l] = gradient + 4 * pairs.signals[l] * plane;
    for (size_t r = 0; r < stage.filters->rows.size(); r++)
      unfold_signals(*stage.filters, stage.filters->rows[r], pairs, work.first + r * g.stride, to,
                     plane);
  }
};

// Orders 0, 1 and 2 of n <= LANES signals, and back: gradients by them
void block_adjoint(const Plan& plan, const Real* x, long n, const Real* s, const Real* u,
                   long n_out, Real* out, Work& work) {
  const Grid& g = plan.grids.at(0);
  Real scales[LANES];
  take_inputs(plan, x, n, work.signals, scales, work, [] {});
  std::fill(work.signals_gradient, work.signals_gradient + 4 * n * g.half() * g.stride, Real(0));
  for (const Stage& stage : plan.stages)
    for (long first = 0; first < n * stage.filters->p; first += LANES)
      StagePass(plan, stage, n, first, work.signals)
          .run_adjoint(s, u, n_out, work.signals_gradient, work);
  const int size = g.n_out * g.n_columns;
  std::fill(work.average, work.average + size, V{});
  for (long l = 0; l < n; l++) bring(u + l * n_out, nullptr, (int)l, size, work.average);
  take_inputs_adjoint(plan, work.signals_gradient, n, out, work);
}

// work(i, thread's memory) for i < n, on some threads
template <class F>
void in_threads(long n, std::vector<Work>& works, F work) {
  std::atomic<long> next(0);
  auto loop = [&](Work& memory) {
    for (long i; (i = next++) < n;) work(i, memory);
  };
  std::vector<std::thread> threads;
  try {
    for (long t = 1; t < std::min<long>(n, (long)works.size()); t++)
      threads.emplace_back(loop, std::ref(works[t]));
  } catch (const std::system_error&) {  // the system gives no more threads: those at hand do all
  }
  loop(works[0]);
  for (auto& thread : threads) thread.join();
}

}  // namespace

// ---- Plain functions for ctypes --------------------------------------------------------------

#pragma GCC visibility push(default)
extern "C" {

// 2 for AVX-512, 1 for AVX2 with FMA, else 0: what this processor can run
int cascade_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

// checksum of the source that it was built from
unsigned cascade_source() { return SOURCE; }

void* cascade_new(int ndim, int height, int width, int n_phases, const int* row_index,
                  const int* column_index) {
  return new Plan(ndim, height, width, n_phases, row_index, column_index);
}

void cascade_free(void* plan) { delete static_cast<Plan*>(plan); }

// the averages of maps of a step: a matrix for each axis (columns null in 1-D)
void cascade_grid(void* to, int k, int h, int w, int n_rows, const Real* rows, int n_columns,
                  const Real* columns) {
  Plan& plan = *static_cast<Plan*>(to);
  Grid& g = plan.grids[k];
  const double tolerance = sizeof(Real) == 4 ? 1e-9 : 1e-18;
  g.h = h;
  g.w = w;
  g.stride = plan.ndim == 1 ? 1 : w | 1;
  g.n_out = n_rows;
  g.fft_h = plan.transform(h);
  g.fft_w = plan.transform(w);
  if (rows) g.rows.cut(rows, n_rows, h, tolerance);
  if (columns) {
    g.columns.cut(columns, n_columns, w, tolerance);
    g.n_columns = n_columns;
  }
  if (plan.ndim == 1) plan.real_transform(h, g.real);
}

// the averages of long signals: a low-pass in the Fourier domain, n values in a period
void cascade_lowpass(void* to, int k, int n, int first, int n_phi, const Real* phi) {
  Plan& plan = *static_cast<Plan*>(to);
  Grid& g = plan.grids[k];
  g.first = first;
  g.n_phi = n_phi;
  g.phi = phi;
  plan.real_transform(n, g.low);
}

// p filters on a coarse grid of n rows
void* cascade_filters(void* to, int p, int n) {
  Filters* f = new Filters;
  static_cast<Plan*>(to)->filters.push_back(f);
  f->p = p;
  f->rows.resize(n);
  return f;
}

// what they are, (rows, width, p), on the part of a spectrum of maps of step 2^k that begins at
// row `top` and column `left`, and goes to the rows of the coarse grid from `row` on
void cascade_tile(const void* of, void* filters, int k, int top, int left, int row, int rows,
                  int width, const Real* values) {
  const Plan& plan = *static_cast<const Plan*>(of);
  Filters& f = *static_cast<Filters*>(filters);
  const Grid& from = plan.grids.at(k);
  if (plan.ndim == 1) return f.add(from, true, top, 0, row, rows, values);
  for (int i = 0; i < rows; i++)
    f.add(from, false, top, left, row + i, width, values + (long)i * width * f.p);
}

void cascade_stage(void* to, const void* filters, int k, int64_t offset, int64_t offset_2,
                   int64_t size_2) {
  static_cast<Plan*>(to)->stages.push_back(
      {static_cast<const Filters*>(filters), k, (long)offset, (long)offset_2, (long)size_2, {}});
}

// a wavelet of order 2 that follows the last stage
void cascade_second(void* to, const void* filters, int k, int64_t offset) {
  static_cast<Plan*>(to)->stages.back().following.push_back(
      {static_cast<const Filters*>(filters), k, (long)offset});
}

// coefficients (n, n_out) of signals (n, height, width); 0, or 1 where memory is missing
int cascade_run(const void* of, const Real* x, int64_t n, Real* out, int64_t n_out, int threads) {
  const Plan& plan = *static_cast<const Plan*>(of);
  const Grid& g = plan.grids.at(0);
  const long plane = 2L * g.half() * g.stride, size = (long)plan.height * plan.width;
  Memory memory(plan, threads, 0, n * plane + n);
  if (!memory.enough) return 1;
  Real *const spectra = memory.shared, *const scales = spectra + n * plane;
  in_threads((n + LANES - 1) / LANES, memory.works, [&](long i, Work& work) {
    const long first = i * LANES, m = std::min<long>(LANES, n - first);
    take_inputs(plan, x + first * size, m, spectra + first * plane, scales + first, work, [&] {
      for (long l = 0; l < m; l++)
        store(work.average, (int)l, g.n_out * g.n_columns, out + (first + l) * n_out, false,
              scales[first + l]);
    });
  });
  std::vector<std::pair<const Stage*, long>> parts;
  for (const Stage& s : plan.stages)
    for (long pair = 0; pair < n * s.filters->p; pair += LANES) parts.push_back({&s, pair});
  in_threads((long)parts.size(), memory.works, [&](long i, Work& work) {
    StagePass(plan, *parts[i].first, n, parts[i].second, spectra).run(scales, out, n_out, work);
  });
  return 0;
}

// gradients (n, height, width) by signals, from those, u, by their coefficients s, (n, n_out)
int cascade_run_adjoint(const void* of, const Real* x, int64_t n, const Real* s, const Real* u,
                        int64_t n_out, Real* out, int threads) {
  const Plan& plan = *static_cast<const Plan*>(of);
  const long size = (long)plan.height * plan.width;
  const long block = std::min<long>(LANES, (n + threads - 1) / threads);
  Memory memory(plan, threads, block, 0);
  if (!memory.enough) return 1;
  in_threads((n + block - 1) / block, memory.works, [&](long i, Work& work) {
    const long first = i * block;
    block_adjoint(plan, x + first * size, std::min(block, (long)n - first), s + first * n_out,
                  u + first * n_out, n_out, out + first * size, work);
  });
  return 0;
}
}
