// Numbers in JSON: ours against simdjson On-Demand and std::from_chars (reading), and against
// std::to_chars (writing). All contenders take turns in one process; a row shows medians, and the
// ratios are medians of the ratios inside each turn. Every answer is compared bit for bit with
// strtod's; a wrong one stops the program.
//
// simdjson's On-Demand front end picks its instructions when it is compiled, so this file alone is
// built for the machine at hand (mk/more/bench_numbers.mk); ours picks at run time as always.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <simdjson.h>

extern "C" {
#include "simd/half.h"
#include "simd/numbers.h"
#include "simd/simd.h"
}

namespace
{

double now_ns()
{
    return double(std::chrono::duration_cast<std::chrono::nanoseconds>(
                      std::chrono::steady_clock::now().time_since_epoch())
                      .count());
}

double median(std::vector<double> v)
{
    std::nth_element(v.begin(), v.begin() + long(v.size() / 2), v.end());
    return v[v.size() / 2];
}

[[noreturn]] void die(const std::string &why)
{
    std::fprintf(stderr, "numbers_bench: %s\n", why.c_str());
    std::exit(1);
}

struct corpus {
    const char *name;
    tern_dtype dtype;
    const char *format, *comma;
    double low, high;
    unsigned row; // numbers an inner array; 0: flat
    bool single;  // the values are floats printed as doubles
    bool whole;
};

struct text {
    std::string body; // the whole request, and a pad
    size_t data = 0;  // where the array begins
    size_t length = 0;
    size_t data_length = 0;
    std::vector<char> want; // elements as the dtype has them
};

void put(tern_dtype dtype, double value, char *out)
{
    if (dtype == TERN_DTYPE_FP32) {
        float v = float(value);
        std::memcpy(out, &v, 4);
    } else if (dtype == TERN_DTYPE_FP64) {
        std::memcpy(out, &value, 8);
    } else {
        int64_t v = int64_t(value);
        std::memcpy(out, &v, tern_dtype_size(dtype));
    }
}

text make_text(const corpus &c, size_t count)
{
    std::mt19937_64 random(42);
    std::uniform_real_distribution<double> uniform(c.low, c.high);
    text t;
    size_t size = tern_dtype_size(c.dtype);
    t.want.resize(count * size);
    t.body = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":";
    t.data = t.body.size();
    t.body += '[';
    for (size_t i = 0; i < count; i++) {
        char token[64];
        double v = uniform(random);
        if (c.single)
            v = double(float(v));
        if (c.whole)
            v = std::floor(v);
        if (std::strcmp(c.format, "repr") == 0)
            *std::to_chars(token, token + 60, v).ptr = '\0';
        else
            std::snprintf(token, sizeof(token), c.format, v);
        if (i != 0)
            t.body += c.comma;
        if (c.row != 0 && i % c.row == 0)
            t.body += '[';
        t.body += token;
        if (c.row != 0 && i % c.row == c.row - 1)
            t.body += ']';
        put(c.dtype, std::strtod(token, nullptr), t.want.data() + i * size);
    }
    t.body += ']';
    t.data_length = t.body.size() - t.data;
    t.body += "}]}";
    t.length = t.body.size();
    t.body.append(256, '\0');
    return t;
}

using reader = std::function<void(std::vector<char> &)>;

template <class T>
void on_demand(simdjson::ondemand::parser &parser, const text &t, unsigned row,
               std::vector<char> &out)
{
    namespace od = simdjson::ondemand;
    auto document = parser.iterate(t.body.data(), t.length, t.body.size());
    size_t i = 0;
    auto store = [&](od::value value) {
        T v;
        if constexpr (std::is_floating_point_v<T>)
            v = T(double(value.get_double()));
        else
            v = T(uint64_t(value.get_uint64()));
        std::memcpy(out.data() + sizeof(T) * i++, &v, sizeof(T));
    };
    for (od::object input : document["inputs"].get_array()) {
        for (auto element : input["data"].get_array()) {
            if (row == 0) {
                store(element.value());
                continue;
            }
            for (auto inner : element.get_array())
                store(inner.value());
        }
    }
}

template <class T> void from_chars(const text &t, std::vector<char> &out)
{
    const char *p = t.body.data() + t.data;
    const char *end = p + t.data_length;
    char *q = out.data();
    while (p < end) {
        while (p < end && (*p == ' ' || *p == ',' || *p == '[' || *p == ']'))
            p++;
        if (p == end)
            break;
        T v;
        if constexpr (std::is_floating_point_v<T>) {
            double d;
            p = std::from_chars(p, end, d).ptr;
            v = T(d);
        } else {
            p = std::from_chars(p, end, v).ptr;
        }
        std::memcpy(q, &v, sizeof(T));
        q += sizeof(T);
    }
}

// One turn of each contender, `turns` times.
std::vector<std::vector<double>> race(const std::vector<reader> &contenders, const text &t,
                                      size_t repeat, int turns)
{
    std::vector<std::vector<double>> times(contenders.size());
    std::vector<char> out(t.want.size() + 64);
    for (int turn = 0; turn < turns; turn++) {
        for (size_t k = 0; k < contenders.size(); k++) {
            std::fill(out.begin(), out.end(), '\x55');
            contenders[k](out);
            if (std::memcmp(out.data(), t.want.data(), t.want.size()) != 0)
                die("contender " + std::to_string(k) + " answers otherwise than strtod");
            double begin = now_ns();
            for (size_t r = 0; r < repeat; r++)
                contenders[k](out);
            times[k].push_back((now_ns() - begin) / double(repeat));
        }
    }
    return times;
}

double ratio(const std::vector<double> &other, const std::vector<double> &ours)
{
    std::vector<double> r;
    for (size_t i = 0; i < ours.size(); i++)
        r.push_back(other[i] / ours[i]);
    return median(r);
}

template <class T> void bench_read(const corpus &c, size_t count, size_t repeat, int turns)
{
    text t = make_text(c, count);
    simdjson::ondemand::parser parser;
    auto ours = [&](std::vector<char> &out) {
        tern_numbers_result result;
        tern_err err;
        if (tern_numbers_read(c.dtype, tern_str_make(t.body.data() + t.data, t.length - t.data),
                              out.data(), count, &result, &err) != TERN_OK)
            die(err.text);
        if (result.count != count || result.used != t.data_length)
            die("wrong count");
    };
    auto times = race({ours, [&](auto &out) { on_demand<T>(parser, t, c.row, out); },
                       [&](auto &out) { from_chars<T>(t, out); }},
                      t, repeat, turns);
    double per = 1 / double(count);
    std::printf("%-34s %7zu %5.1f | %6.2f %6.2f | %6.2f %6.2f | %6.2f | %5.2fx %5.2fx\n", c.name,
                count, double(t.data_length) * per, median(times[0]) * per,
                double(t.data_length) / median(times[0]), median(times[1]) * per,
                double(t.data_length) / median(times[1]), median(times[2]) * per,
                ratio(times[1], times[0]), ratio(times[2], times[0]));
}

void bench_reading(int turns)
{
    static const corpus corpora[] = {
        {"1 float32 as %.17g", TERN_DTYPE_FP32, "%.17g", ", ", 0, 1, 0, true, false},
        {"2 float32 as %.9g", TERN_DTYPE_FP32, "%.9g", ",", 0, 1, 0, true, false},
        {"3 float32 as %.4f", TERN_DTYPE_FP32, "%.4f", ",", -1, 1, 0, true, false},
        {"4 uint8", TERN_DTYPE_UINT8, "%.0f", ",", 0, 256, 0, false, true},
        {"uint8 digits into float32", TERN_DTYPE_FP32, "%.0f", ",", 0, 256, 0, false, true},
        {"float32 as repr of its double", TERN_DTYPE_FP32, "repr", ", ", -1, 1, 0, true, false},
        {"float64 as repr", TERN_DTYPE_FP64, "repr", ", ", -1, 1, 0, false, false},
        {"float32 as %.6e", TERN_DTYPE_FP32, "%.6e", ", ", -1, 1, 0, true, false},
        {"[[4 x %.1f], ...]", TERN_DTYPE_FP32, "%.1f", ", ", 0, 8, 4, true, false},
        {"[[3 x uint8], ...]", TERN_DTYPE_UINT8, "%.0f", ",", 0, 256, 3, false, true},
        {"[[64 x %.9g], ...]", TERN_DTYPE_FP32, "%.9g", ", ", -1, 1, 64, true, false},
    };
    std::printf("%-34s %7s %5s | %13s | %13s | %6s | %6s %6s\n", "", "", "", "ours", "On-Demand",
                "from_c", "x On-D", "x f_c");
    std::printf("%-34s %7s %5s | %6s %6s | %6s %6s | %6s |\n", "reading", "numbers", "B/num", "ns",
                "GB/s", "ns", "GB/s", "ns");
    for (const corpus &c : corpora) {
        for (size_t count : {size_t(48000), size_t(960), size_t(12)}) {
            if (c.row > count)
                continue;
            size_t repeat = count > 1000 ? 1 : 20000 / count;
            if (c.dtype == TERN_DTYPE_UINT8)
                bench_read<uint8_t>(c, count, repeat, turns);
            else if (c.dtype == TERN_DTYPE_FP64)
                bench_read<double>(c, count, repeat, turns);
            else
                bench_read<float>(c, count, repeat, turns);
        }
    }
}

template <class T> std::vector<T> values_of(int kind, size_t count)
{
    std::mt19937_64 random(7);
    std::vector<T> v(count);
    for (T &x : v) {
        uint64_t bits = random();
        do {
            bits = random();
            if (kind == 0)
                x = T(double(bits >> 11) * 0x1p-53);
            else if (kind == 1)
                x = T(double(int64_t(bits) >> 43) / 100);
            else
                std::memcpy(&x, &bits, sizeof(x));
        } while (!std::isfinite(x));
    }
    return v;
}

template <class T> T read_back(const char *p, char **end)
{
    if constexpr (sizeof(T) == 4)
        return std::strtof(p, end);
    else
        return std::strtod(p, end);
}

template <class T> void bench_write(const char *name, tern_dtype dtype, int kind, int turns)
{
    const size_t count = 4000;
    std::vector<T> v = values_of<T>(kind, count);
    std::vector<char> out(tern_numbers_write_bound(dtype, count));
    std::vector<double> ours, theirs;
    size_t length = 0;
    size_t their_length = 0;
    for (int turn = 0; turn < turns; turn++) {
        double begin = now_ns();
        length = tern_numbers_write(dtype, v.data(), count, out.data());
        ours.push_back(now_ns() - begin);
        if (turn == 0) {
            char *p = out.data();
            out[length] = '\0';
            for (T x : v) {
                T back = read_back<T>(p, &p);
                if (std::memcmp(&back, &x, sizeof(T)) != 0)
                    die("a written number does not read back");
                p++;
            }
        }
        begin = now_ns();
        char *q = out.data();
        for (T x : v) {
            q = std::to_chars(q, q + 32, x).ptr;
            *q++ = ',';
        }
        theirs.push_back(now_ns() - begin);
        their_length = size_t(q - out.data());
    }
    std::printf("%-34s %7zu %5.1f | %6.2f %6.2f | %6.2f %6.2f | %5.2fx\n", name, count,
                double(length) / count, median(ours) / count, double(length) / median(ours),
                median(theirs) / count, double(their_length) / median(theirs), ratio(theirs, ours));
}

// Every finite float, once: the text reads back (as a float; as a double and then a float but for
// the ones listed) and is as short as to_chars makes it.
void check_all_floats()
{
    const size_t row = 4096;
    std::vector<float> v(row), back(row);
    std::vector<char> out(tern_numbers_write_bound(TERN_DTYPE_FP32, row) + 256);
    auto digits = [](const char *p, const char *end) {
        int n = 0, zeros = 0;
        for (; p < end && *p != 'e'; p++) {
            if (*p == '0' && n != 0)
                zeros++;
            else if (*p > '0' && *p <= '9') {
                n += zeros + 1;
                zeros = 0;
            }
        }
        return n;
    };
    for (uint64_t first = 0; first < 0x7f800000u; first += row) {
        for (size_t i = 0; i < row; i++) {
            uint32_t bits = uint32_t(first + i);
            std::memcpy(&v[i], &bits, 4);
        }
        out[0] = '[';
        size_t n = tern_numbers_write(TERN_DTYPE_FP32, v.data(), row, out.data() + 1) + 1;
        out[n] = ']';
        tern_numbers_result result;
        tern_err err;
        if (tern_numbers_read(TERN_DTYPE_FP32, tern_str_make(out.data(), n + 1), back.data(), row,
                              &result, &err) != TERN_OK)
            die(err.text);
        const char *p = out.data() + 1;
        for (size_t i = 0; i < row; i++) {
            char theirs[64];
            const char *end = p;
            while (*end != ',' && *end != ']')
                end++;
            char *their_end =
                std::to_chars(theirs, theirs + 64, v[i], std::chars_format::scientific).ptr;
            if (digits(p, end) != digits(theirs, their_end))
                die("a float is written too long: " + std::string(p, end));
            if (std::memcmp(&v[i], &back[i], 4) != 0) {
                // Rounding to double first may cross the middle of two floats: known, and rare.
                std::string token(p, end);
                if (std::strtof(token.c_str(), nullptr) != v[i] ||
                    float(std::strtod(token.c_str(), nullptr)) != back[i])
                    die("a float does not survive: " + token);
                std::printf("rounded twice: %s\n", token.c_str());
            }
            p = end + 1;
        }
        if (first % (uint64_t(1) << 28) == 0)
            std::printf("... %08llx\n", static_cast<unsigned long long>(first));
    }
    std::printf("all finite floats of positive sign read back, none longer than to_chars\n");
}

} // namespace

int main(int argc, char **argv)
{
    tern_simd_init();
    int turns = argc > 1 && std::atoi(argv[1]) > 0 ? std::atoi(argv[1]) : 41;
    std::printf("level %s; On-Demand compiled for %s, its first stage %s; medians of %d turns\n",
                tern_simd_name(), SIMDJSON_STRINGIFY(SIMDJSON_BUILTIN_IMPLEMENTATION),
                simdjson::get_active_implementation()->name().c_str(), turns);
    if (argc > 1 && std::strcmp(argv[1], "all-floats") == 0) {
        check_all_floats();
        return 0;
    }
    bench_reading(turns);
    std::printf("\n%-34s %7s %5s | %6s %6s | %6s %6s |\n", "writing", "numbers", "B/num", "ours",
                "GB/s", "to_c", "GB/s");
    bench_write<float>("float32 in [0, 1)", TERN_DTYPE_FP32, 0, turns);
    bench_write<float>("float32, two decimals", TERN_DTYPE_FP32, 1, turns);
    bench_write<float>("float32, any bits", TERN_DTYPE_FP32, 2, turns);
    bench_write<double>("float64 in [0, 1)", TERN_DTYPE_FP64, 0, turns);
    bench_write<double>("float64, two decimals", TERN_DTYPE_FP64, 1, turns);
    bench_write<double>("float64, any bits", TERN_DTYPE_FP64, 2, turns);
    return 0;
}
