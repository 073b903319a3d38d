// The scattering cascade on a CPU: what cascade.py computes in torch, in loops over vectors.
//
// Layout. A vector V holds one number of each of LANES maps, which are computed side by side: all
// arithmetic is that of one map, and a map does not know its neighbours. Of real maps or spectra,
// element (row, column) is a V, or a C: a vector of real and one of imaginary parts.
//   signals    a lane is a signal of the batch
//   order 1    a lane is a pair (signal, wavelet): the pairs of a stage follow one another
//   order 2    the lanes of order 1, to each of which the same second wavelet is applied
// A real map has a spectrum that is Hermitian, of which rows 0 .. h/2 are kept (a half-plane); the
// others are read there, mirrored and conjugate. A 1-D signal is a map one column wide.
//
// Passes. What follows reads like the cascade:
//   fold          spectra times a wavelet, folded onto the coarse grid
//   inverse       inverse FFT of rows, then, column after column while it is in the cache:
//   rho           modulus or rectifier,
//   average       low-pass along the column,
//   forward       FFT of the column, two real ones as one complex
// and finish_map averages along the rows, and transforms them.
//
// Compiled once for each type (REAL) and width of a vector (BYTES); plain C functions at the end.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

constexpr int LARGEST_PRIME = 61;  // larger ones take longer than in torch
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
};

// Maps of one step: their FFTs, and how they are averaged
struct Grid {
  int h = 1, w = 1;
  long stride = 1;  // of a row of a spectrum: odd, or else the rows of a column share a cache set
  const Fft *fft_h = nullptr, *fft_w = nullptr;
  int n_out = 0, n_columns = 1;  // coefficients of a map, and how many of them lie in a row
  Banded rows, columns;
  // 1-D: the FFT of a real signal is one of half its length
  const Fft* fft_half = nullptr;
  std::vector<Real> unit;
  // 1-D, a low-pass in the Fourier domain: n values in a period, of which n_out from `first` on
  int n = 0, first = 0, n_phi = 0;
  const Real* phi = nullptr;
  const Fft* fft_n = nullptr;
  std::vector<Real> unit_n;

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
  ~Plan() {
    for (auto* f : filters) delete f;
    for (auto& f : ffts) delete f.second;
  }
};

// ---- Memory of a thread ----------------------------------------------------------------------

// One block of memory, cut into arrays; kept for the next call
struct Arena {
  char* block = nullptr;
  size_t size = 0, used = 0;
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
  std::lock_guard<std::mutex> guard(arenas_lock);
  arenas.push_back(arena);
}

struct Work {
  Buffers room;
  C *y, *line, *maps;             // coarse spectra; a column; columns of real maps
  C *spectrum, *scratch;          // spectra of real maps; of one that is not kept
  V *low, *average;               // averages along columns; coefficients
  long plane;                     // of the spectrum of one map

  // sizes of all arrays, and the arrays where there is a block
  static size_t layout(const Plan& plan, Arena* arena, Work* work) {
    size_t side = 1, room = 1, matrix = 1, grid = 1, plane = 1, low = 1, average = 1, line = 1;
    for (const auto& item : plan.grids) {
      const Grid& g = item.second;
      side = std::max<size_t>(side, g.h);
      grid = std::max<size_t>(grid, g.h * g.stride);
      plane = std::max<size_t>(plane, g.half() * g.stride);
      low = std::max<size_t>(low, (size_t)g.n_out * g.w);
      average = std::max<size_t>(average, (size_t)g.n_out * g.n_columns);
      line = std::max<size_t>(line, g.phi ? 2 * g.n + 2 : 1);
      line = std::max<size_t>(line, plan.ndim == 1 && g.fft_half ? 1 : std::max(g.h, g.w));
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
    w.line = a->take<C>(line);
    w.maps = a->take<C>(plan.ndim == 1 ? side / 2 + 1 : maps * side);
    w.spectrum = a->take<C>(maps * plane);
    w.scratch = a->take<C>(plan.ndim == 1 ? plane : 1);
    w.low = a->take<V>(maps * low);
    w.average = a->take<V>(average);
    w.plane = plane;
    if (work) *work = w;
    return a->used;
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

// spectrum of a real signal: rows 0 .. h/2. Two samples are packed as one complex number.
void forward_signal(const Grid& g, const V* u, C* spectrum, Work& work) {
  if (!g.fft_half) {
    for (int r = 0; r < g.h; r++) work.line[r] = {u[r], V{}};
    fft<false>(*g.fft_h, work.line, 1, work.line, 1, work.room);
    std::copy(work.line, work.line + g.half(), spectrum);
    return;
  }
  const int n = g.h / 2;
  fft<false>(*g.fft_half, reinterpret_cast<const C*>(u), 1, spectrum, 1, work.room);
  spectrum[n] = spectrum[0];
  const Real half = Real(0.5);
  for (int k = 0; k <= n - k; k++) {
    const C p = spectrum[k] * half, q = spectrum[n - k] * half;
    const C even = {p.r + q.r, p.i - q.i}, odd = {p.i + q.i, q.r - p.r};
    const C turned = rotate<false>(odd, g.unit[2 * k], g.unit[2 * k + 1]);
    spectrum[k] = even + turned;
    spectrum[n - k] = {even.r - turned.r, turned.i - even.i};
  }
}

// averages of a signal: its spectrum times the low-pass, cut to the n values of a period
void average_spectrum(const Grid& g, const C* spectrum, V* average, Work& work) {
  const int n = g.n, half = n / 2;
  C *s = work.line, *z = s + n + 1;
  for (int k = 0; k < g.n_phi; k++) s[k] = spectrum[k] * g.phi[k];
  s[0].i = V{};
  if (n % 2 == 0) {
    s[half].i = V{};
    for (int k = 0; k < half; k++) {
      const C &p = s[k], &q = s[half - k];
      const C even = {p.r + q.r, p.i - q.i}, odd = {p.r - q.r, p.i + q.i};
      z[k] = even + turn<true>(rotate<true>(odd, g.unit_n[2 * k], g.unit_n[2 * k + 1]));
    }
    fft<true>(*g.fft_n, z, 1, s, 1, work.room);
    const V* values = reinterpret_cast<const V*>(s);
    std::copy(values + g.first, values + g.first + g.n_out, average);
    return;
  }
  for (int k = 1; k <= half; k++) s[n - k] = {s[k].r, -s[k].i};
  fft<true>(*g.fft_n, s, 1, s, 1, work.room);
  for (int a = 0; a < g.n_out; a++) average[a] = s[g.first + a].r;
}

// one real map of a signal: its average, and its spectrum if that is needed
void take_signal(const Grid& g, const V* u, bool further, C* spectrum, Work& work) {
  if (further || g.phi) forward_signal(g, u, spectrum, work);
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

// Spectra of filtered maps, of which fold(strips, y, width) makes a row -> averages and spectra of
// the real maps, one for each phase; emit(a) is called when those of phase a are in work.average
template <class Fold, class Emit>
void propagate(const Plan& plan, const Grid& g, const Filters& f, bool further, Work& work,
               Fold fold, Emit emit) {
  const int maps = plan.n_maps();
  if (plan.ndim == 1) {
    C* z = work.y;
    fold(f.rows[0], z, g.h);
    fft<true>(*g.fft_h, z, 1, z, 1, work.room);
    V* u = reinterpret_cast<V*>(work.maps);
    for (int a = 0; a < maps; a++) {
      C* spectrum = further ? work.spectrum + a * work.plane : work.scratch;
      rho(plan, z, g.h, a, u, 1);
      take_signal(g, u, further, spectrum, work);
      emit(a);
    }
    return;
  }
  const long column = g.h, n_low = (long)g.n_out * g.w;
  for (int r = 0; r < g.h; r++) {
    C* row = work.y + r * g.stride;
    if (f.rows[r].empty()) {
      std::fill(row, row + g.w, C{V{}, V{}});
      continue;
    }
    fold(f.rows[r], work.line, g.w);
    fft<true>(*g.fft_w, work.line, 1, row, 1, work.room);
  }
  for (int c = 0; c < g.w; c += 2) {
    for (int e = 0; e < 2 && c + e < g.w; e++) {
      fft<true>(*g.fft_h, work.y + c + e, g.stride, work.line, 1, work.room);
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

// ---- The cascade -----------------------------------------------------------------------------

struct Batch {
  const Plan& plan;
  const Real* x;   // (n, height, width)
  long n, n_out;
  Real* out;       // (n, n_out)
  Real* spectra;   // (n, h/2 + 1, stride, 2)
};

// averages of lanes to their places in the results, which are not negative beyond order 0
inline void store(const V* average, int lane, int n, Real* to, bool signless) {
  for (int a = 0; a < n; a++) {
    const Real s = average[a][lane];
    to[a] = signless && s < 0 ? 0 : s;
  }
}

// Order 0 and the spectra of LANES signals from number `first` on
void signals(const Batch& batch, long first, Work& work) {
  const Plan& plan = batch.plan;
  const Grid& g = plan.grids.at(0);
  const long n = std::min<long>(LANES, batch.n - first), size = (long)plan.height * plan.width;
  const Real* x = batch.x + first * size;
  const bool further = !plan.stages.empty();
  auto read = [&](int r, int c, V* to) {
    const int row = plan.row_index[r], column = plan.column_index[c];
    *to = V{};
    if (row >= 0 && column >= 0)
      for (long l = 0; l < n; l++) (*to)[l] = x[l * size + (long)row * plan.width + column];
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
  const long plane = further ? g.half() * g.stride : 0;
  for (long l = 0; l < n; l++) {
    store(work.average, (int)l, g.n_out * g.n_columns, batch.out + (first + l) * batch.n_out, false);
    Real* to = batch.spectra + 2 * (first + l) * plane;
    for (long i = 0; i < plane; i++) {
      to[2 * i] = work.spectrum[i].r[l];
      to[2 * i + 1] = work.spectrum[i].i[l];
    }
  }
}

// Orders 1 and 2 of LANES pairs of signals and wavelets of a stage
void stage(const Batch& batch, const Stage& stage, long first, Work& work) {
  const Plan& plan = batch.plan;
  const Grid& g = plan.grids.at(stage.k);
  const int p = stage.filters->p, maps = plan.n_maps();
  const Pairs pairs(first, batch.n * p, p);
  const bool further = !stage.following.empty();
  const int size = g.n_out * g.n_columns;
  const Grid& finest = plan.grids.at(0);
  const Real* spectra[LANES];
  for (int s = 0; s < pairs.n_signals; s++)
    spectra[s] = batch.spectra + 2 * pairs.signal[s] * finest.half() * finest.stride;
  auto fold_first = [&](const std::vector<Strip>& strips, C* y, int width) {
    auto f = pairs.n_signals == 1   ? fold_signals<1>
             : pairs.n_signals == 2 ? fold_signals<2>
                                    : fold_signals<0>;
    f(*stage.filters, strips, pairs, spectra, y, width);
  };
  propagate(plan, g, *stage.filters, further, work, fold_first, [&](int a) {
    for (int l = 0; l < pairs.n; l++)
      store(work.average, l, size,
            batch.out + pairs.signals[l] * batch.n_out + stage.offset +
                ((long)pairs.wavelets[l] * maps + a) * size,
            true);
  });
  if (!further) return;
  for (int a1 = 0; a1 < maps; a1++)
    for (const Second& second : stage.following) {
      const Grid& g2 = plan.grids.at(second.k);
      const int size_2 = g2.n_out * g2.n_columns;
      auto fold_second = [&](const std::vector<Strip>& strips, C* y, int width) {
        fold(strips, work.spectrum + a1 * work.plane, y, width);
      };
      propagate(plan, g2, *second.filters, false, work, fold_second, [&](int a) {
        for (int l = 0; l < pairs.n; l++)
          store(work.average, l, size_2,
                batch.out + pairs.signals[l] * batch.n_out + stage.offset_2 +
                    ((long)pairs.wavelets[l] * maps + a1) * stage.size_2 + second.offset +
                    (long)a * size_2,
                true);
      });
    }
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
  if (plan.ndim == 1 && h % 2 == 0) {
    g.fft_half = plan.transform(h / 2);
    for (int r = 0; r <= h / 2; r++) unit(g.unit, (double)r / h);
  }
}

// the averages of long signals: a low-pass in the Fourier domain, n values in a period
void cascade_lowpass(void* to, int k, int n, int first, int n_phi, const Real* phi) {
  Plan& plan = *static_cast<Plan*>(to);
  Grid& g = plan.grids[k];
  g.n = n;
  g.first = first;
  g.n_phi = n_phi;
  g.phi = phi;
  g.fft_n = plan.transform(n % 2 ? n : n / 2);
  for (int r = 0; r <= n / 2; r++) unit(g.unit_n, (double)r / n);
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
  const size_t plane = 2 * (size_t)g.half() * g.stride;
  const size_t need = Work::layout(plan, nullptr, nullptr);
  std::vector<Arena*> mine;
  std::vector<Work> works(std::max(1, threads));
  Arena* shared = borrow();
  bool enough = shared->reserve(n * plane * sizeof(Real));
  for (Work& work : works) {
    mine.push_back(borrow());
    enough = enough && mine.back()->reserve(need);
    if (enough) Work::layout(plan, mine.back(), &work);
  }
  if (enough) {
    const Batch batch{plan, x, (long)n, (long)n_out, out, shared->take<Real>(n * plane)};
    in_threads((n + LANES - 1) / LANES, works,
               [&](long i, Work& work) { signals(batch, i * LANES, work); });
    std::vector<std::pair<const Stage*, long>> parts;
    for (const Stage& s : plan.stages)
      for (long pair = 0; pair < n * s.filters->p; pair += LANES) parts.push_back({&s, pair});
    in_threads((long)parts.size(), works, [&](long i, Work& work) {
      stage(batch, *parts[i].first, parts[i].second, work);
    });
  }
  for (Arena* arena : mine) give_back(arena);
  give_back(shared);
  return !enough;
}
}
