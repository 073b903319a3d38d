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
    except ImportError as error:
        raise ImportError("a calculator needs ASE: pip install 'skwave[molecules]'.") from error

    class EnergyCalculator(Calculator):
        """Energies and forces of a fitted regressor."""

        implemented_properties = ("energy", "free_energy", "forces")

        def calculate(
            self, atoms=None, properties=("energy",), system_changes=all_changes
        ):  # numpydoc ignore=GL08
            super().calculate(atoms, properties, system_changes)
            pair = self.atoms.numbers, self.atoms.positions
            energy, forces = regressor.predict_energy_and_forces([pair])
            self.results = {"energy": energy[0], "free_energy": energy[0], "forces": forces[0]}

    return EnergyCalculator()
