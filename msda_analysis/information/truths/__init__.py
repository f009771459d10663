"""Cases whose information is known in closed form or by quadrature, to judge estimators and bounds by."""
