import numpy as np

leaky_relu: np.ufunc
leaky_relu_derivative: np.ufunc
leaky_relu_backward: np.ufunc
leaky_relu_inverse: np.ufunc
