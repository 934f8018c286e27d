// What the files that know Python and NumPy share; no other file does.

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL leaky_array_api
#define PY_UFUNC_UNIQUE_SYMBOL leaky_ufunc_api
#ifndef LEAKY_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include <memory>

#include "kernels.h"
#include "storage.h"

namespace leaky {

struct Release {
    void operator()(PyObject* object) const { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Release>;

// NumPy's number for ml_dtypes' bfloat16; below 0 until register_bfloat16 was called.
extern int bfloat16_number;

// What each module object has of its own, as its ufuncs are: there are two when _core is imported anew.
struct State {
    int bfloat16_number;  // that its ufuncs know; 0, which is bool's, at first
};

// python_ufuncs.cpp
int add_ufuncs(PyObject* module);
PyObject* register_bfloat16(PyObject* module, PyObject* dtype);

// python_direct.cpp: functions that need no ufunc machinery, a list that ends with an empty entry
extern PyMethodDef direct_functions[];

}  // namespace leaky
