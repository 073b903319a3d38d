"""A fitted regressor as a calculator of ASE."""


def make_calculator(regressor):
    """Calculator of energies and forces.

    Parameters
    ----------
    regressor : EnergyRegressor
        Fitted to energies in eV.

    Returns
    -------
    calculator : ase.calculators.calculator.Calculator
        Calculator.

    Raises
    ------
    ImportError
        If ASE is not installed.
    """
    try:
        from ase.calculators.calculator import Calculator, all_changes
        from ase.stress import full_3x3_to_voigt_6_stress
    except ImportError as error:
        raise ImportError("a calculator needs ASE: pip install 'skwave[molecules]'.") from error

    class EnergyCalculator(Calculator):
        """Energies, forces and stresses of a fitted regressor."""

        implemented_properties = ("energy", "free_energy", "forces", "stress")

        def calculate(
            self, atoms=None, properties=("energy",), system_changes=all_changes
        ):  # numpydoc ignore=GL08
            super().calculate(atoms, properties, system_changes)
            energy, forces = regressor.predict_energy_and_forces([self.atoms])
            self.results = {"energy": energy[0], "free_energy": energy[0], "forces": forces[0]}
            if "stress" in properties:
                stress = regressor.predict_stress([self.atoms])[0]
                self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    return EnergyCalculator()
