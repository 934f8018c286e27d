// The definition as NumPy ufuncs: contiguous runs with one slope by the kernels, all else one element at a time.

#include "python.h"

#include <type_traits>

#include "definition.h"
#include "float_environment.h"
#include "run.h"

namespace leaky {

int bfloat16_number = -1;

namespace {

// A function on single numbers, and the operation that its kernels are listed under.
struct Forward {
    static constexpr Operation operation = Operation::forward;
    template <class C>
    static C of(C x, C slope) {
        return leaky_relu(x, slope);
    }
};
struct Derivative {
    static constexpr Operation operation = Operation::derivative;
    template <class C>
    static C of(C x, C slope) {
        return leaky_relu_derivative(x, C(1), slope);
    }
};
struct Backward {
    static constexpr Operation operation = Operation::backward;
    template <class C>
    static C of(C grad, C x, C slope) {
        return leaky_relu_backward(grad, x, slope);
    }
};
struct Inverse {  // has no kernels
    template <class C>
    static C of(C y, C slope) {
        return leaky_relu_inverse(y, slope);
    }
};

template <class T>
constexpr Type kType = Type::float64;
#define LEAKY_TYPE(name, T) \
    template <>             \
    constexpr Type kType<T> = Type::name;
LEAKY_TYPES(LEAKY_TYPE)
#undef LEAKY_TYPE

// The slope reaches a loop as float64 and is rounded to the compute type there, once and without a warning: so it does
// not decide the result's type either.
template <class T>
using slope_t = std::conditional_t<std::is_same_v<T, long double>, long double, double>;

template <class T>
compute_t<T> load(const char* at) {
    return widen(*reinterpret_cast<const T*>(at));
}

template <class T>
slope_t<T> load_slope(const char* at) {
    return *reinterpret_cast<const slope_t<T>*>(at);
}

template <class T>
void store(char* at, compute_t<T> value) {
    *reinterpret_cast<T*>(at) = narrow<T>(value);
}

// (x, negative_slope) -> y, each with a stride of its own
template <class Function, class T>
void strided(char** args, const npy_intp* count, const npy_intp* steps, void*) {
    const FloatEnvironment<compute_t<T>> environment;
    char *x = args[0], *slope = args[1], *y = args[2];
    for (npy_intp i = 0; i < *count; ++i) {
        store<T>(y, Function::of(load<T>(x), static_cast<compute_t<T>>(load_slope<T>(slope))));
        x += steps[0], slope += steps[1], y += steps[2];
    }
}

// (grad_output, x, negative_slope) -> grad_input, each with a stride of its own
template <class T>
void strided_backward(char** args, const npy_intp* count, const npy_intp* steps, void*) {
    const FloatEnvironment<compute_t<T>> environment;
    char *grad = args[0], *x = args[1], *slope = args[2], *out = args[3];
    for (npy_intp i = 0; i < *count; ++i) {
        const auto factor = static_cast<compute_t<T>>(load_slope<T>(slope));
        store<T>(out, Backward::of(load<T>(grad), load<T>(x), factor));
        grad += steps[0], x += steps[1], slope += steps[2], out += steps[3];
    }
}

template <class Function, class T>
void loop(char** args, const npy_intp* count, const npy_intp* steps, void* data) {
    if (steps[0] != sizeof(T) || steps[1] != 0 || steps[2] != sizeof(T))
        return strided<Function, T>(args, count, steps, data);
    Run task;
    task.count = *count;
    task.x = args[0];
    task.slope = load_slope<T>(args[1]);
    task.y = args[2];
    run(Function::operation, kType<T>, task);
}

template <class T>
void backward_loop(char** args, const npy_intp* count, const npy_intp* steps, void* data) {
    if (steps[0] != sizeof(T) || steps[1] != sizeof(T) || steps[2] != 0 || steps[3] != sizeof(T))
        return strided_backward<T>(args, count, steps, data);
    Run task;
    task.count = *count;
    task.grad = args[0];
    task.x = args[1];
    task.slope = load_slope<T>(args[2]);
    task.y = args[3];
    run(Backward::operation, kType<T>, task);
}

// NumPy takes the first loop that its operands cast to safely: smallest type first, as its own float ufuncs have it.
constexpr int kLoops = 4;

template <class Function>
PyUFuncGenericFunction loops[kLoops] = {loop<Function, half>, loop<Function, float>, loop<Function, double>,
                                        strided<Function, long double>};
template <>
PyUFuncGenericFunction loops<Inverse>[kLoops] = {strided<Inverse, half>, strided<Inverse, float>,
                                                 strided<Inverse, double>, strided<Inverse, long double>};
template <>
PyUFuncGenericFunction loops<Backward>[kLoops] = {backward_loop<half>, backward_loop<float>, backward_loop<double>,
                                                  strided_backward<long double>};

void* no_data[kLoops] = {};

constexpr char kUnaryTypes[kLoops * 3] = {
    NPY_HALF,       NPY_DOUBLE,     NPY_HALF,        //
    NPY_FLOAT,      NPY_DOUBLE,     NPY_FLOAT,       //
    NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,      //
    NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE,  //
};
constexpr char kBackwardTypes[kLoops * 4] = {
    NPY_HALF,       NPY_HALF,       NPY_DOUBLE,     NPY_HALF,        //
    NPY_FLOAT,      NPY_FLOAT,      NPY_DOUBLE,     NPY_FLOAT,       //
    NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,      //
    NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE,  //
};

struct Ufunc {
    const char* name;
    const char* doc;
    PyUFuncGenericFunction* loops;
    const char* types;
    int inputs;
    PyUFuncGenericFunction bfloat16_loop;
};

const Ufunc ufuncs[] = {
    {"leaky_relu", "x where x > 0, negative_slope * x everywhere else", loops<Forward>, kUnaryTypes, 2,
     loop<Forward, bfloat16>},
    {"leaky_relu_derivative", "1 where x > 0, negative_slope everywhere else", loops<Derivative>, kUnaryTypes, 2,
     loop<Derivative, bfloat16>},
    {"leaky_relu_backward", "grad_output where x > 0, negative_slope * grad_output everywhere else", loops<Backward>,
     kBackwardTypes, 3, backward_loop<bfloat16>},
    {"leaky_relu_inverse", "y where y > 0, y / negative_slope everywhere else", loops<Inverse>, kUnaryTypes, 2,
     strided<Inverse, bfloat16>},
};

}  // namespace

int add_ufuncs(PyObject* module) {
    for (const Ufunc& each : ufuncs) {
        const Owned ufunc{PyUFunc_FromFuncAndData(each.loops, no_data, each.types, kLoops, each.inputs, 1, PyUFunc_None,
                                                  each.name, each.doc, 0)};
        if (!ufunc || PyModule_AddObjectRef(module, each.name, ufunc.get()) < 0) return -1;
    }
    return 0;
}

PyObject* register_bfloat16(PyObject* module, PyObject* dtype) {
    if (!PyArray_DescrCheck(dtype)) {
        PyErr_SetString(PyExc_TypeError, "register_bfloat16 wants a dtype");
        return nullptr;
    }
    const int number = reinterpret_cast<PyArray_Descr*>(dtype)->type_num;
    auto* const state = static_cast<State*>(PyModule_GetState(module));
    if (state->bfloat16_number == number) Py_RETURN_NONE;
    for (const Ufunc& each : ufuncs) {
        const Owned ufunc{PyObject_GetAttrString(module, each.name)};
        if (!ufunc) return nullptr;
        int types[] = {number, number, number, number};
        types[each.inputs - 1] = NPY_DOUBLE;  // the slope
        if (PyUFunc_RegisterLoopForType(reinterpret_cast<PyUFuncObject*>(ufunc.get()), number, each.bfloat16_loop,
                                        types, nullptr) < 0)
            return nullptr;
    }
    bfloat16_number = state->bfloat16_number = number;
    Py_RETURN_NONE;
}

}  // namespace leaky
